"""The Secret with a document key: one for each resource, immutable, and mounted as a file."""

from __future__ import annotations

import base64
from typing import Any

from support.document_keys import KEY
from tunewright_contracts.authentication.document_key import DOCUMENT_KEY_PATH, DocumentKey
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.manifests.document_keys import (
    build_document_key_secret,
    build_document_key_volume,
    document_key_name,
)


def owner(uid: str = "1a2b3c4d-0000", name: str = "tickets") -> dict[str, Any]:
    return {
        "apiVersion": FINE_TUNE_JOB.api_version,
        "kind": FINE_TUNE_JOB.name,
        "metadata": {"name": name, "namespace": "support", "uid": uid},
    }


def test_the_secret_belongs_to_its_resource_and_cannot_be_changed() -> None:
    secret = build_document_key_secret(owner(), KEY)
    assert secret["metadata"]["name"] == "tickets-document-key-1a2b3c4d"
    assert [item["uid"] for item in secret["metadata"]["ownerReferences"]] == ["1a2b3c4d-0000"]
    assert secret["immutable"] is True
    assert DocumentKey.from_text(base64.b64decode(secret["data"]["key"])) == KEY


def test_another_resource_of_the_same_name_has_another_secret() -> None:
    assert document_key_name("tickets", "99999999-0000") != document_key_name("tickets", "1a2b3c4d-0000")


def test_a_pod_finds_the_key_at_its_path() -> None:
    (volume,), (mount,) = build_document_key_volume(owner())
    (item,) = volume["secret"]["items"]
    assert volume["secret"]["secretName"] == document_key_name("tickets", "1a2b3c4d-0000")
    assert "optional" not in volume["secret"], "a pod without its key does not start"
    assert f"{mount['mountPath']}/{item['path']}" == DOCUMENT_KEY_PATH
    assert mount["readOnly"] is True
