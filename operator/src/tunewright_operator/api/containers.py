"""The containers of our pods by name: a service mesh or an admission policy may add others, in any order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final


class Container(StrEnum):
    """The name of the one container that the operator puts into a pod."""

    PREPARE = "prepare"
    TRAIN = "train"
    INSPECT_BASE_MODEL = "inspect-base-model"
    INSPECT_ADAPTER = "inspect-adapter"
    EVALUATE = "evaluate"
    SERVER = "server"


DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""The annotation by which `kubectl logs` and `kubectl exec` choose a container."""
JOB_CONTAINERS: Final = frozenset(Container) - {Container.SERVER}
"""The containers of the pods of Jobs; each pod has one of them."""
SERVER_CONTAINERS: Final = frozenset({Container.SERVER})


def find_container_status(pod: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """Return the status of the container with one of these names; an empty one until the kubelet reports it."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((item for item in statuses if item.get("name") in names), {})
