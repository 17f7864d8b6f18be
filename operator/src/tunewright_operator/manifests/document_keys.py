"""The Secret with the key of a FineTuneJob's or an AdapterDeployment's documents, and how pods get it.

Its name contains the owner's UID: a resource that is created again under the same name gets another key, even while the
old Secret still exists. The Secret is immutable and is deleted together with its owner.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from tunewright_contracts.authentication.document_key import DOCUMENT_KEY_PATH, DocumentKey
from tunewright_operator.api import labels
from tunewright_operator.api.kinds import SECRET, kind_of

Body = dict[str, Any]

KEY_FILE: Final = PurePosixPath(DOCUMENT_KEY_PATH).name
_VOLUME: Final = "document-key"


def document_key_name(owner_name: str, owner_uid: str) -> str:
    """Return the name of the Secret: ``<owner>-document-key-<first 8 characters of the owner's UID>``."""
    return f"{owner_name}-document-key-{owner_uid[:8]}"


def build_document_key_secret(owner: Mapping[str, Any], key: DocumentKey) -> Body:
    """Return the immutable Secret with a key; the owner is a resource of the API, as the API server returns it."""
    metadata = owner["metadata"]
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {
            "name": document_key_name(metadata["name"], metadata["uid"]),
            "namespace": metadata["namespace"],
            "labels": labels.build_labels(kind_of(owner), metadata["name"], labels.Role.DOCUMENT_KEY),
            "ownerReferences": [labels.build_owner_reference(owner)],
        },
        "type": "Opaque",
        "immutable": True,
        "data": {KEY_FILE: base64.b64encode(key.to_text().encode()).decode()},
    }


def build_document_key_volume(owner: Mapping[str, Any]) -> tuple[list[Body], list[Body]]:
    """Return (volumes, mounts) of the key at `DOCUMENT_KEY_PATH`: a file, which no child process inherits."""
    name = document_key_name(owner["metadata"]["name"], owner["metadata"]["uid"])
    source = {"secretName": name, "items": [{"key": KEY_FILE, "path": KEY_FILE}]}
    folder = str(PurePosixPath(DOCUMENT_KEY_PATH).parent)
    return [{"name": _VOLUME, "secret": source}], [{"name": _VOLUME, "mountPath": folder, "readOnly": True}]
