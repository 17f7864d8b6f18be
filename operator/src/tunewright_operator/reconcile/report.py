"""Report: one status write at the end of a reconciliation, then an Event and a log line for what changed."""

from __future__ import annotations

import structlog

from tunewright_contracts.reasons import Reason
from tunewright_operator.api.conditions import Condition, Status
from tunewright_operator.api.kinds import Kind, kind_of
from tunewright_operator.api.resource import ResourceError
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.conditions import Wanted, find_transitions, merge_conditions
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.lookup import find_reason
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.manifests.events import EventType
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key

log = structlog.get_logger(__name__)

_OVERRULED = {"Stalled", "Reconciling"}


class FailureReporter:
    """Writes an unexpected error into the status of the resource, whose owner cannot read the operator's log."""

    def __init__(self, cluster: Cluster, *, now: Now = utc_now) -> None:
        self._cluster = cluster
        self._now = now

    async def report(self, key: Key, error: Exception) -> None:
        """Set Stalled and keep the rest of the status; the next successful reconciliation removes Stalled.

        The status of a job that has ended stays as it is, since no later reconciliation would remove Stalled.

        Raises:
            ClusterError: the status could not be written.
        """
        body = await self._cluster.get(key.kind, key.namespace, key.name)
        if body is None or _has_ended(body):
            return
        reason: Reason = CommonReason.INTERNAL_ERROR
        message = join_sentences(f"{type(error).__name__}: {error}", reason.remedy)
        if isinstance(error, ResourceError):
            reason, message = CommonReason.UNREADABLE_RESOURCE, str(error)
        status = body.get("status") or {}
        others = [item for item in status.get("conditions") or () if item.get("type") not in _OVERRULED]
        last = [item for item in status.get("conditions") or () if item.get("type") == "Stalled"]
        stalled = merge_conditions(
            [Condition.model_validate(item) for item in last],
            [Wanted("Stalled", "True", reason, message)],
            generation=int(body["metadata"].get("generation") or 0),
            now=self._now(),
        )
        conditions = [*others, *(condition.to_wire() for condition in stalled)]
        if conditions != status.get("conditions"):
            # kstatus ignores Stalled when the status has an older observedGeneration.
            seen = {"observedGeneration": body["metadata"].get("generation")}
            await self._cluster.replace_status(body, {**status, **seen, "conditions": conditions})
            await self._cluster.emit_event(body, EventType.WARNING, reason, message)


def _has_ended(body: Body) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Succeeded" and item.get("status") != "Unknown" for item in conditions)


async def write_status(cluster: Cluster, observed: Body, old: Status, new: Status, headline: str) -> None:
    """Write a status if it differs from the observed one; log a change of the summary condition and record an Event.

    Args:
        cluster: where to write.
        observed: the object that the decision is based on; its resourceVersion is the precondition.
        old: the parsed status of ``observed``. Parsed statuses are compared, since fields that the server adds or
            prunes would cause a write each time.
        new: the status to write.
        headline: the type of the condition that is the resource's summary (Ready, Succeeded).

    Raises:
        ConflictError: the resource changed since it was observed.
        ClusterError: the write failed.
    """
    if new == old:
        return
    await cluster.replace_status(observed, new.to_status())
    kind = kind_of(observed)
    for transition in find_transitions(old.conditions, new.conditions):
        after = transition.after
        if after.type != headline:
            continue
        metadata = observed["metadata"]
        log.info(
            "condition_changed",
            kind=kind.name,
            namespace=metadata.get("namespace"),
            name=metadata["name"],
            condition=after.type,
            status=after.status,
            reason=after.reason,
            before=transition.before.reason if transition.before else None,
        )
        await cluster.emit_event(observed, _event_type(kind, after, new), after.reason, after.message or after.reason)


def _event_type(kind: Kind, headline: Condition, status: Status) -> EventType:
    stalled = any(condition.type == "Stalled" and condition.is_true for condition in status.conditions)
    reason = find_reason(kind, headline.reason)
    retried = reason is not None and reason.transient
    return EventType.WARNING if stalled or retried else EventType.NORMAL
