"""The transitions that every step can make: wait, begin the next step, promote or withdraw the candidate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from tunewright_contracts.reasons import Reason
from tunewright_contracts.times import format_time
from tunewright_contracts.values import show
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    CandidateRevision,
    Ending,
    Outcome,
    StableRevision,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import history
from tunewright_operator.domain.rollout.observation import Decision, Notice, Situation, Wait
from tunewright_operator.domain.sentences import join_sentences, start_sentence

MAX_MESSAGE, MAX_REASON, MAX_REASONS = 4096, 1024, 16
"""The CRD's limits on a status."""


def hold(
    status: AdapterDeploymentStatus,
    reason: Reason,
    message: str,
    *,
    stalled: bool = False,
    after: float | None = None,
) -> Decision:
    """Return the decision to wait."""
    return Decision(status, wait=Wait(reason, message, stalled), reconcile_after_seconds=after)


def record_candidate(status: AdapterDeploymentStatus, candidate: CandidateRevision) -> Decision:
    """Return the decision to record a changed candidate and to decide again."""
    return Decision(status.updated(candidate=candidate), again=True)


def withdraw(
    status: AdapterDeploymentStatus,
    candidate: CandidateRevision,
    outcome: Outcome,
    reason: Reason,
    message: str,
) -> Decision:
    """Move the candidate's requests back; after every replica routes without it, it is recorded as ended."""
    ending = Ending(outcome=outcome, reason=reason.value, message=_bound_message(message))
    after = status.updated(candidate=candidate.updated(weight=0, ending=ending))
    warning = outcome in {Outcome.ROLLED_BACK, Outcome.ABORTED}
    return Decision(after, (Notice(reason, f"{candidate.revision}: {message}", warning=warning),), again=True)


def begin_next_step(status: AdapterDeploymentStatus, candidate: CandidateRevision, notice: Notice | None) -> Decision:
    """Begin the next step."""
    after = status.updated(candidate=candidate.begin_step(candidate.step + 1))
    return Decision(after, (notice,) if notice else (), again=True)


def promote(situation: Situation, candidate: CandidateRevision, now: dt.datetime, message: str) -> Decision:
    """Make the candidate the stable revision."""
    text = format_time(now)
    stable = StableRevision(**history.as_revision(candidate).model_dump(), since=text)
    entry = history.end_candidate(candidate, Outcome.PROMOTED, Why.PROMOTED.value, _bound_message(message), text)
    entries = history.add_entry(situation.status.history, entry, situation.spec.history_limit)
    after = situation.status.updated(stable=stable, candidate=None, history=entries)
    return Decision(after, (Notice(Why.PROMOTED, f"{candidate.revision} is stable: {message}"),), again=True)


def bound_reasons(reasons: Iterable[str]) -> tuple[str, ...]:
    """Return the first reasons, each shortened, as far as the CRD's limits allow."""
    return tuple(show(reason, MAX_REASON) for reason in reasons)[:MAX_REASONS]


def _bound_message(message: str) -> str:
    """Return a message as a sentence that is as long as a status may have it."""
    return show(start_sentence(join_sentences(message)), MAX_MESSAGE)
