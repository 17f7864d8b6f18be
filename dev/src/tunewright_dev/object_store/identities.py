"""The identities of the object store: one for each duty, with random credentials.

They are created at run time and kept in Secrets with the keys of the AWS SDKs. Copy a Secret into the namespace that
needs it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import secrets
from collections.abc import Mapping
from typing import Any

from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store.endpoint import BUCKET, LOG_BUCKET, NAMESPACE, REGION, URL

# SeaweedFS's actions (weed/s3api/s3_constants/s3_actions.go), limited to a bucket.
IDENTITIES: dict[str, tuple[str, ...]] = {
    "admin": ("Admin", "Read", "Write", "List", "Tagging"),
    "trainer": (f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}", f"Tagging:{BUCKET}"),
    "server": (f"Read:{BUCKET}", f"List:{BUCKET}"),
    "trafficlog": (f"Write:{LOG_BUCKET}",),
}
# The label of the Secrets with an identity: a FineTuneJob or a ModelServer can use only Secrets with this label.
_LABEL = "tunewright.dev/use"


@dataclasses.dataclass(frozen=True)
class Access:
    """One identity's credentials."""

    access_key: str
    secret_key: str


def generate_access() -> Access:
    """Generate credentials in the form of AWS credentials."""
    return Access(access_key=secrets.token_hex(10).upper(), secret_key=secrets.token_urlsafe(30))


def read_identities(kubectl: Kubectl) -> dict[str, Access]:
    """Return the credentials of each identity that has a Secret in the cluster."""
    secrets_found = kubectl.list("secrets", NAMESPACE, selector=_LABEL)
    return {secret["metadata"]["name"]: _read_access(secret["data"]) for secret in secrets_found}


def _read_access(data: Mapping[str, str]) -> Access:
    decoded = {key: base64.b64decode(data[key]).decode() for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return Access(decoded["AWS_ACCESS_KEY_ID"], decoded["AWS_SECRET_ACCESS_KEY"])


def build_identities(identities: Mapping[str, Access]) -> str:
    """Return SeaweedFS's file of identities."""
    entries = [
        {
            "name": name,
            "credentials": [{"accessKey": access.access_key, "secretKey": access.secret_key}],
            "actions": list(IDENTITIES[name]),
        }
        for name, access in sorted(identities.items())
    ]
    return json.dumps({"identities": entries})


def build_credentials(name: str, access: Access, ca: str) -> dict[str, Any]:
    """Return the Secret of one identity, with the environment variables of AWS SDKs and the authority."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {_LABEL: "allowed"}},
        "stringData": {
            "AWS_ACCESS_KEY_ID": access.access_key,
            "AWS_SECRET_ACCESS_KEY": access.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": URL,
            "ca.crt": ca,
        },
    }
