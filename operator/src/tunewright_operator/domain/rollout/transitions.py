"""The moves of a candidate that every step may make: wait, go on, end as stable, or lose its requests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    CandidateRevision,
    Ending,
    Outcome,
    StableRevision,
)
from tunewright_operator.domain.conditions import shorten
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import history
from tunewright_operator.domain.rollout.observation import Decision, Notice, Situation, Wait
from tunewright_operator.domain.times import format_time

MAX_MESSAGE, MAX_REASON, MAX_REASONS = 4096, 1024, 16
"""What the CRD lets a status hold."""
FRESH_STEP: dict[str, Any] = {
    "step_started_at": None,
    "plan_generation": None,
    "verdict": None,
    "reasons": (),
    "detectable_drop": None,
}
"""The fields of a candidate that belong to one step. Its observation outlives the step: the bake compares with it."""


def hold(
    situation: Situation, reason: Reason, message: str, *, stalled: bool = False, after: float | None = None
) -> Decision:
    """Return the decision to wait."""
    return Decision(situation.status, wait=Wait(reason, message, stalled), look_after=after)


def change_candidate(
    status: AdapterDeploymentStatus, candidate: CandidateRevision, **changes: Any
) -> AdapterDeploymentStatus:
    """Return the status with a changed candidate."""
    return status.model_copy(update={"candidate": candidate.model_copy(update=changes)})


def withdraw(
    status: AdapterDeploymentStatus,
    candidate: CandidateRevision,
    outcome: Outcome,
    reason: Reason,
    message: str,
    **changes: Any,
) -> Decision:
    """Take the candidate's requests away; it is recorded as ended once every replica routes without it."""
    ending = Ending(outcome=outcome, reason=reason.value, message=shorten(message, MAX_MESSAGE))
    after = change_candidate(status, candidate, weight=0, ending=ending, **changes)
    warning = outcome in {Outcome.ROLLED_BACK, Outcome.ABORTED}
    return Decision(after, (Notice(reason, f"{candidate.revision}: {message}", warning=warning),), again=True)


def step_on(situation: Situation, candidate: CandidateRevision, notice: Notice | None, **changes: Any) -> Decision:
    """Begin the next step."""
    after = change_candidate(situation.status, candidate, **{**FRESH_STEP, **changes, "step": candidate.step + 1})
    return Decision(after, (notice,) if notice else (), again=True)


def promote(situation: Situation, candidate: CandidateRevision, now: datetime, message: str) -> Decision:
    """Make the candidate the stable revision."""
    text = format_time(now)
    stable = StableRevision(**history.as_revision(candidate).model_dump(), since=text)
    said = shorten(message, MAX_MESSAGE)
    entry = history.end_candidate(candidate, Outcome.PROMOTED, Why.PROMOTED.value, said, text)
    entries = history.add_entry(situation.status.history, entry, situation.spec.history_limit)
    after = situation.status.model_copy(update={"stable": stable, "candidate": None, "history": entries})
    return Decision(after, (Notice(Why.PROMOTED, f"{candidate.revision} is stable: {message}"),), again=True)


def bound_reasons(reasons: Iterable[str]) -> tuple[str, ...]:
    """Return the first reasons, each as long as a status may hold."""
    return tuple(shorten(reason, MAX_REASON) for reason in reasons)[:MAX_REASONS]
