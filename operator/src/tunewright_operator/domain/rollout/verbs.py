"""The effect of manual requests: abort, promote, retry and roll back."""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    CandidateRevision,
    HistoryEntry,
    Outcome,
    Revision,
    Verb,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import history, transitions
from tunewright_operator.domain.rollout.acceptance import accept_revision
from tunewright_operator.domain.rollout.observation import Decision, Notice, Situation
from tunewright_operator.domain.rollout.requests import Request, list_pending, record_handled
from tunewright_operator.domain.rollout.selection import choose_adapter, find_expected_name


def handle_request(situation: Situation, now: dt.datetime) -> Decision | None:
    """Handle the first pending request; one write records it together with its effect."""
    pending = list_pending(situation.annotations, situation.status.last_handled_requests)
    if not pending:
        return None
    request = pending[0]
    act = {Verb.ABORT: _abort, Verb.PROMOTE: _promote, Verb.RETRY: _retry, Verb.ROLLBACK: _roll_back}[request.verb]
    decision = (
        act(situation, request, now)
        if request.revision
        else _ignore(situation, request, "write it as <revision>@<request ID>")
    )
    if decision is None:
        return None
    ignored = next((notice.message for notice in decision.notices if notice.reason is Why.REQUEST_IGNORED), "")
    handled = record_handled(situation.status.last_handled_requests, request, format_time(now), ignored)
    status = decision.status.updated(last_handled_requests=handled)
    return Decision(status, decision.notices, decision.wait, again=True)


def _ignore(situation: Situation, request: Request, why: str) -> Decision:
    message = f"{request.text} does nothing: {why}."
    return Decision(situation.status, (Notice(Why.REQUEST_IGNORED, message, warning=True),))


def _current(situation: Situation, request: Request) -> CandidateRevision | None:
    """Return the candidate if the request names it and it is not ending."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is not None or candidate.revision != request.revision:
        return None
    return candidate


def _abort(situation: Situation, request: Request, _: dt.datetime) -> Decision:
    candidate = _current(situation, request)
    if candidate is None:
        return _ignore(situation, request, f"{request.revision} is not the candidate")
    return transitions.withdraw(
        situation.status, candidate, Outcome.ABORTED, Why.ABORT_REQUESTED, f"aborted by annotation {request.value}"
    )


def _promote(situation: Situation, request: Request, now: dt.datetime) -> Decision | None:
    """Pass the current step, or end the bake, on request.

    If the step has not begun or only sets a weight, the request is kept for the next step that waits for one. If the
    spec names the revision, but it is not the candidate yet, the request stays pending until then.
    """
    candidate = _current(situation, request)
    if candidate is None and find_expected_name(situation, now) == request.revision:
        return None
    if candidate is None:
        return _ignore(situation, request, f"{request.revision} is not the candidate")
    steps = situation.spec.rollout.steps
    ongoing = candidate.step < len(steps)
    if candidate.step_started_at is None or (ongoing and steps[candidate.step].set_weight is not None):
        return _keep(situation, request, candidate)
    message = f"promoted by annotation {request.value}"
    candidate = candidate.updated(kept_promotion=None)
    if ongoing:
        notice = Notice(Why.STEP_PROMOTED, f"{candidate.revision} passed step {candidate.step}: {message}")
        return transitions.begin_next_step(situation.status, candidate, notice)
    return transitions.promote(situation, candidate, now, message)


def _keep(situation: Situation, request: Request, candidate: CandidateRevision) -> Decision:
    after = situation.status.updated(candidate=candidate.updated(kept_promotion=request.value))
    message = f"{request.text} is kept until a step waits for a manual request: none does now."
    return Decision(after, (Notice(Why.REQUEST_KEPT, message),))


def _retry(situation: Situation, request: Request, now: dt.datetime) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    """Begin the current step again, or accept a revision again that was rolled back."""
    candidate = _current(situation, request)
    if candidate is not None and candidate.step >= len(situation.spec.rollout.steps):
        # A bake compares with the incumbent's last window. A second bake would have none, without requests to it.
        return _ignore(situation, request, f"{candidate.revision} is in its bake; wait for its end, or abort it")
    if candidate is not None:
        after = situation.status.updated(candidate=candidate.begin_step(candidate.step))
        message = f"{candidate.revision} begins step {candidate.step} again, as annotation {request.value} requests."
        return Decision(after, (Notice(Why.RETRY_REQUESTED, message),))
    if situation.candidate is not None:
        return _ignore(situation, request, f"{situation.candidate.revision} is the candidate; abort it first")
    wanted = choose_adapter(situation, now).revision
    revision = _find(situation.status, wanted, request.revision)
    if revision is None:
        return _ignore(situation, request, f"{request.revision} is neither in the spec nor in the history")
    if situation.status.stable is not None and revision.digest == situation.status.stable.digest:
        return _ignore(situation, request, f"{request.revision} is already stable")
    if (
        wanted is not None
        and wanted.digest != revision.digest
        and not history.is_excluded(situation.status.history, wanted.digest)
    ):
        # The next reconciliation would supersede it, and it would no longer be excluded.
        why = f"the spec names {wanted.revision}; change spec.adapter to {request.revision} first"
        return _ignore(situation, request, why)
    accepted = accept_revision(situation, situation.status, revision, now, skips=False)
    message = f"{revision.revision} is the candidate again, as annotation {request.value} requests."
    return Decision(accepted, (Notice(Why.RETRY_REQUESTED, message),))


def _roll_back(situation: Situation, request: Request, now: dt.datetime) -> Decision | None:
    """Return to an earlier revision. If there is a candidate, it is withdrawn first, and the request waits for that."""
    entry = history.find_revision(situation.status.history, request.revision)
    if entry is None or not any(
        past.digest == entry.digest and past.outcome is Outcome.PROMOTED for past in situation.status.history
    ):
        return _ignore(situation, request, f"{request.revision} was never promoted, or is no longer in the history")
    stable = situation.status.stable
    if stable is not None and stable.digest == entry.digest:
        return _ignore(situation, request, f"{request.revision} is stable; abort the candidate to stay with it")
    candidate = situation.candidate
    if candidate is not None and candidate.ending is None and candidate.digest == entry.digest:
        # Withdrawing it would give its requests back to the revision that the user wants to leave.
        return _ignore(situation, request, f"{request.revision} is already the candidate")
    if candidate is not None:
        return None
    revision = history.as_revision(entry)
    skips = history.may_skip_steps(situation.status.history, revision, named=True)
    status = situation.status
    message = f"Rollback to {revision.revision}, as annotation {request.value} requests."
    if stable is not None:
        # The entry excludes the revision; otherwise the spec, which still names it, would bring it back at once.
        left = HistoryEntry(
            **history.as_revision(stable).model_dump(),
            outcome=Outcome.ROLLED_BACK,
            reason=Why.ROLLBACK_REQUESTED.value,
            message=message,
            from_=stable.since,
            to=format_time(now),
        )
        entries = history.add_entry(status.history, left, situation.spec.history_limit)
        status = status.updated(history=entries)
    accepted = accept_revision(situation, status, revision, now, skips=skips)
    return Decision(accepted, (Notice(Why.ROLLBACK_REQUESTED, message, warning=True),))


def _find(status: AdapterDeploymentStatus, wanted: Revision | None, name: str) -> Revision | None:
    if wanted is not None and wanted.revision == name:
        return wanted
    entry = history.find_revision(status.history, name)
    return None if entry is None else history.as_revision(entry)
