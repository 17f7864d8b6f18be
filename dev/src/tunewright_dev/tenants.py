"""Namespaces with everything that a team needs: PodSecurity, the tenant label, and one storage identity."""

from __future__ import annotations

from typing import Any

from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import endpoint as object_store

TENANT_LABEL = "tunewright.dev/tenant"


def ensure_namespace(kubectl: Kubectl, name: str, *, tenant: bool = False) -> None:
    """Create a namespace with PodSecurity `restricted`, for a tenant also with the label that servers select."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    if tenant:
        labels[TENANT_LABEL] = "true"
    kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])


def ensure_storage_secret(kubectl: Kubectl, namespace: str, name: str, identity: str) -> None:
    """Copy the credentials of one identity of the object store into a namespace.

    Raises:
        DevError: the object store has no such identity.
    """
    source = kubectl.get("secret", identity, object_store.NAMESPACE)
    if source is None:
        raise DevError(
            f"The Secret {object_store.NAMESPACE}/{identity} does not exist. Run `make up`, which creates it."
        )
    kubectl.apply([build_storage_secret(namespace, name, source["data"])])


def build_storage_secret(namespace: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a Secret that Tunewright's jobs can use; ``data`` is base64-encoded, as in the API."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {"tunewright.dev/use": "allowed"}},
        "data": data,
    }
