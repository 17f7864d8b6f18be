"""The security context of the containers that the development tools run in a cluster."""

from __future__ import annotations

from typing import Any


def build_restricted_context() -> dict[str, Any]:
    """Return the container security context that PodSecurity `restricted` requires, with a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
