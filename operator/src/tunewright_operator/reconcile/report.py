"""Reporting: one status write at the end of a look, then an Event and a log line for what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog

from tunewright_operator.api.conditions import Condition
from tunewright_operator.api.resource import Status
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.conditions import find_transitions
from tunewright_operator.manifests.events import EventType

log = structlog.get_logger(__name__)


async def write_status(cluster: Cluster, observed: Body, old: Status, new: Status, headline: str) -> None:
    """Write a status if it differs from the observed one, and tell of a change of the headline condition.

    Args:
        cluster: where to write.
        observed: the body that the decision rests on; its resourceVersion is the precondition.
        old: the status in it, parsed. Parsed statuses are compared, or what the server adds or prunes would be
            written again and again.
        new: the decision's status.
        headline: the type of the condition that sums the resource up (Ready, Succeeded).

    Raises:
        ConflictError: the resource changed since it was observed.
        ClusterError: the write failed.
    """
    if new == old:
        return
    await cluster.replace_status(observed, new.to_status())
    for transition in find_transitions(_conditions(old), _conditions(new)):
        after = transition.after
        if after.type != headline:
            continue
        metadata = observed["metadata"]
        log.info(
            "condition_changed",
            kind=observed["kind"],
            namespace=metadata.get("namespace"),
            name=metadata["name"],
            condition=after.type,
            status=after.status,
            reason=after.reason,
            before=transition.before.reason if transition.before else None,
        )
        await cluster.emit_event(observed, _event_type(_conditions(new)), after.reason, after.message or after.reason)


def _conditions(status: Status) -> Iterable[Condition]:
    conditions: Any = getattr(status, "conditions", ())
    return tuple(conditions)


def _event_type(conditions: Iterable[Condition]) -> EventType:
    stalled = any(condition.type == "Stalled" and condition.is_true for condition in conditions)
    retrying = any(condition.reason.endswith("Retrying") for condition in conditions)
    return EventType.WARNING if stalled or retrying else EventType.NORMAL
