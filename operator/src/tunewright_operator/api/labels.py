"""Labels and owner references of children: they lead to the loop that a child wakes and to its garbage collection."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from tunewright_operator.api.kinds import GROUP, MODEL_SERVER, Kind, kind_of

MANAGED_BY: Final = f"{GROUP}/managed-by"
MANAGED_BY_VALUE: Final = "tunewright"
KIND: Final = f"{GROUP}/kind"
NAME: Final = f"{GROUP}/name"
ROLE: Final = f"{GROUP}/role"
ATTEMPT: Final = f"{GROUP}/attempt"
USE: Final = f"{GROUP}/use"
USE_ALLOWED: Final = "allowed"
"""The label and value that a Secret or a ServiceAccount must carry before jobs and servers may use it."""
QUEUE_NAME: Final = "kueue.x-k8s.io/queue-name"
OWNED_SELECTOR: Final = f"{MANAGED_BY}={MANAGED_BY_VALUE}"


class Role(StrEnum):
    """The purpose of a child."""

    PREPARE = "prepare"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SERVER = "server"
    INSPECT = "inspect"
    DOCUMENT_KEY = "document-key"


def build_labels(kind: Kind, name: str, role: Role) -> dict[str, str]:
    """Return the labels that every child carries."""
    return {MANAGED_BY: MANAGED_BY_VALUE, KIND: kind.name, NAME: name, ROLE: role.value}


def build_server_labels(server_name: str) -> dict[str, str]:
    """Return the labels of a ModelServer's children, by which its Service and its Deployment select pods."""
    return build_labels(MODEL_SERVER, server_name, Role.SERVER)


def build_owner_reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controller reference to an owner: the garbage collector deletes the child together with it."""
    kind = kind_of(owner)
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        # No blockOwnerDeletion: it requires the right to update the owner's finalizers.
        "controller": True,
    }


def controller_uid(body: Mapping[str, Any]) -> str | None:
    """Return the UID of an object's controller; None when it has no controller."""
    for reference in body["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return str(reference["uid"])
    return None
