"""Which fields of `spec.scheduling` and `spec.resources` a tenant may use: placement belongs to the platform team."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import ConfigDict

from tunewright_contracts.document import FrozenModel
from tunewright_operator.api.resource import ResourceRequirements, Scheduling, Toleration
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.sentences import join_sentences

ANY: Final = "*"
"""At the end of an entry: any rest, also an empty one."""
NATIVE_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
"""Resources that every node has, so that they need no permission; a ResourceQuota limits them."""
SHOWN: Final = 5
"""The maximum number of refused values in a message."""


class AllowedScheduling(FrozenModel):
    """The values that specs may have; an entry that ends in ``*`` allows every value that begins with the rest."""

    model_config = ConfigDict(extra="forbid")

    priority_classes: tuple[str, ...] = ()
    runtime_classes: tuple[str, ...] = ()
    toleration_keys: tuple[str, ...] = ("nvidia.com/gpu",)
    node_labels: tuple[str, ...] = (
        "kubernetes.io/arch",
        "node.kubernetes.io/instance-type",
        "nvidia.com/*",
        "topology.kubernetes.io/*",
    )
    extended_resources: tuple[str, ...] = ("nvidia.com/*",)

    def find_problem(self, scheduling: Scheduling, resources: ResourceRequirements) -> Problem | None:
        """Return which values of a spec the platform team does not allow; None if it allows all."""
        refused = list(self._list_refused(scheduling, resources))
        if not refused:
            return None
        more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        message = f"Not allowed by the platform team: {'; '.join(refused[:SHOWN])}{more}."
        reason = CommonReason.SCHEDULING_NOT_ALLOWED
        return Problem(reason, join_sentences(message, reason.remedy))

    def _list_refused(self, scheduling: Scheduling, resources: ResourceRequirements) -> Iterator[str]:
        """Yield each refused value, with its field and the chart value that would allow it."""
        for field, name, entries, value in (
            ("priorityClassName", scheduling.priority_class_name, self.priority_classes, "priorityClasses"),
            ("runtimeClassName", scheduling.runtime_class_name, self.runtime_classes, "runtimeClasses"),
        ):
            if name and not _is_allowed(name, entries):
                yield f"spec.scheduling.{field} {name!r} ({value})"
        for index, toleration in enumerate(scheduling.tolerations):
            if not _is_allowed(toleration.key, self.toleration_keys):
                yield f"spec.scheduling.tolerations[{index}], {_describe(toleration)} (tolerationKeys)"
        for label in scheduling.node_selector:
            if not _is_allowed(label, self.node_labels):
                yield f"spec.scheduling.nodeSelector {label!r} (nodeLabels)"
        for name in dict.fromkeys((*resources.limits, *resources.requests)):
            if name not in NATIVE_RESOURCES and not _is_allowed(name, self.extended_resources):
                yield f"spec.resources {name!r} (extendedResources)"


def _is_allowed(value: str, entries: Iterable[str]) -> bool:
    return any(value.startswith(item[:-1]) if item.endswith(ANY) else value == item for item in entries)


def _describe(toleration: Toleration) -> str:
    return f"key {toleration.key!r}" if toleration.key else "which tolerates every taint"
