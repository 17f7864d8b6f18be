"""What is woken, queued and reconciled: the key of a custom resource, and how urgent it is."""

from __future__ import annotations

import dataclasses
import enum

from tunewright_operator.api.kinds import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """The name of one custom resource; ``namespace`` is None for a cluster-scoped resource."""

    kind: Kind
    namespace: str | None
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Urgency(enum.IntEnum):
    """Why a resource is to be reconciled; the lowest number is the most urgent."""

    USER = 0
    """A person changed the resource: its spec, its annotations, its deletion."""
    CHILD = 1
    """An object changed that the resource depends on: a Job, a pod, another custom resource."""
    TIMER = 2
    """Its reconciler asked for this time, or its last reconciliation failed."""
    PROGRESS = 3
    """It only has figures to report."""
    LISTING = 4
    """It exists when this replica begins to reconcile."""

    @property
    def label(self) -> str:
        """Its name in metrics."""
        return _LABELS[self]


_LABELS = tuple(urgency.name.lower() for urgency in Urgency)
