"""The rollout of one alias as a state machine: `decide(situation, now)` → the next status, one transition at a time.

Everything durable is in the status, and each transition is one write of the status. So after an interruption between
two writes, the next reconciliation makes the same decision. An alias has a `stable` revision, or none yet, and at most
one candidate. The candidate goes through the spec's steps and a bake. `stable` changes only when the bake ends: until
then the incumbent stays loaded, and one write gives all requests back to it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import TypeVar

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
from tunewright_operator.domain.rollout import history, steps, transitions
from tunewright_operator.domain.rollout.evaluation import find_evaluation_problem, plan_evaluations
from tunewright_operator.domain.rollout.inspection import plan_inspection
from tunewright_operator.domain.rollout.jobs import convert_considered
from tunewright_operator.domain.rollout.loading import hold_for_loading
from tunewright_operator.domain.rollout.observation import (
    ActiveStep,
    Decision,
    Missing,
    Notice,
    Seen,
    Situation,
    Unseen,
    Wait,
)
from tunewright_operator.domain.rollout.requests import Request, list_pending, record_handled
from tunewright_operator.domain.rollout.selection import Choice, choose_adapter, find_passed_over
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.serving.weights import desired_targets

UNSEEN_SECONDS = 2.0
"""Pause while the server's loop has not reported yet: about as long as between two polls of a busy server."""

AnyRevision = TypeVar("AnyRevision", bound=Revision)
Rule = Callable[[Situation, dt.datetime], Decision | None]


def decide(situation: Situation, now: dt.datetime) -> Decision:
    """Return the next status, and the actions on Jobs before it is written.

    The actions follow from the status as it was read: a Job's report is removed only after the status has recorded what
    follows from it.
    """
    decision = _decide_status(situation, now)
    actions = (*plan_inspection(situation, now), *plan_evaluations(situation, now))
    problem = find_evaluation_problem(situation)
    wait = decision.wait if problem is None else Wait(problem.reason, problem.message, stalled=True)
    status = decision.status.updated(passed_over_jobs=find_passed_over(situation, decision.status))
    return dataclasses.replace(decision, status=status, actions=actions, wait=wait)


def _decide_status(situation: Situation, now: dt.datetime) -> Decision:
    """Return the decision of the first rule that makes one."""
    for rule in (_convert_status, _handle_request, _finish_ending, _follow_address, _supersede, _advance, _accept):
        decision = rule(situation, now)
        if decision is not None:
            return decision
    return Decision(situation.status)


def _convert_status(situation: Situation, now: dt.datetime) -> Decision | None:
    """Convert the last considered job of a status that an earlier version wrote.

    Only a selector uses it, and only then all jobs of the namespace were read.
    """
    last = situation.status.last_considered_job
    if last is None or last.creation_time is not None or situation.spec.adapter.fine_tune_job_selector is None:
        return None
    converted = convert_considered(last, situation.jobs, now)
    return Decision(situation.status.updated(last_considered_job=converted), again=True)


def _handle_request(situation: Situation, now: dt.datetime) -> Decision | None:
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
    handled = record_handled(situation.status.last_handled_requests, request, format_time(now))
    status = decision.status.updated(last_handled_requests=handled)
    return Decision(status, decision.notices, decision.wait, again=True)


def _ignore(situation: Situation, request: Request, why: str) -> Decision:
    message = f"{request.verb.annotation}={request.value} does nothing: {why}."
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


def _promote(situation: Situation, request: Request, now: dt.datetime) -> Decision:
    """Pass the current step, or end the bake, on request."""
    candidate = _current(situation, request)
    if candidate is None:
        return _ignore(situation, request, f"{request.revision} is not the candidate")
    if candidate.step_started_at is None:
        return _ignore(situation, request, "no step can be passed now")
    message = f"promoted by annotation {request.value}"
    if candidate.step < len(situation.spec.rollout.steps):
        if situation.spec.rollout.steps[candidate.step].set_weight is not None:
            return _ignore(situation, request, "not every replica routes by the new weight yet")
        notice = Notice(Why.STEP_PROMOTED, f"{candidate.revision} passed step {candidate.step}: {message}")
        return transitions.begin_next_step(situation.status, candidate, notice)
    return transitions.promote(situation, candidate, now, message)


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
    accepted = _accept_revision(situation.status, revision, now, step=0)
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
    accepted = _accept_revision(status, revision, now, step=len(situation.spec.rollout.steps) if skips else 0)
    return Decision(accepted, (Notice(Why.ROLLBACK_REQUESTED, message, warning=True),))


def _find(status: AdapterDeploymentStatus, wanted: Revision | None, name: str) -> Revision | None:
    if wanted is not None and wanted.revision == name:
        return wanted
    entry = history.find_revision(status.history, name)
    return None if entry is None else history.as_revision(entry)


def _finish_ending(situation: Situation, now: dt.datetime) -> Decision | None:
    """Record the end of a withdrawn candidate when every ready replica routes without it."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is None:
        return None
    match situation.server:
        case Missing():
            withdrawn, after = True, None
        case Unseen():
            withdrawn, after = False, UNSEEN_SECONDS
        case Seen(facts):
            withdrawn, after = facts.targets is None or facts.is_everywhere(desired_targets(situation.status)), None
    if not withdrawn:
        message = join_sentences(
            f"{candidate.ending.reason}: the requests of {candidate.revision} move back.", candidate.ending.message
        )
        return transitions.hold(situation.status, Why.WITHDRAWING, message, after=after)
    ending = candidate.ending
    entry = history.end_candidate(candidate, ending.outcome, ending.reason, ending.message, format_time(now))
    entries = history.add_entry(situation.status.history, entry, situation.spec.history_limit)
    return Decision(situation.status.updated(candidate=None, history=entries), again=True)


def _follow_address(situation: Situation, now: dt.datetime) -> Decision | None:
    """Read an adapter from the new address in the spec if it cannot be loaded from its old one.

    The same digest proves that it is the same adapter. An address that works is kept: the server may refuse the new
    one, and then the alias would have no answers.
    """
    wanted, status, server = choose_adapter(situation, now).revision, situation.status, situation.server
    if wanted is None or not isinstance(server, Seen) or not server.facts.has_trouble_with(wanted.revision):
        return None
    after = status.updated(candidate=_move(status.candidate, wanted), stable=_move(status.stable, wanted))
    if after == status:
        return None
    notice = Notice(Why.ADDRESS_CHANGED, f"{wanted.revision} is now read from {wanted.uri}.")
    return Decision(after, (notice,), again=True)


def _move(revision: AnyRevision | None, wanted: Revision) -> AnyRevision | None:
    """Return a revision with the wanted one's address if both have the same digest."""
    if revision is None or revision.digest != wanted.digest:
        return revision
    return revision.updated(uri=wanted.uri)


def _supersede(situation: Situation, now: dt.datetime) -> Decision | None:
    """Withdraw the candidate if the spec or a rollback request asks for another revision."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is not None:
        return None
    asked = [
        request
        for request in list_pending(situation.annotations, situation.status.last_handled_requests)
        if request.verb is Verb.ROLLBACK
    ]
    if asked:
        message = f"a rollback to {asked[0].revision} was requested"
        # Aborted and not superseded: otherwise the spec, which still names it, would bring it back at once.
        return transitions.withdraw(situation.status, candidate, Outcome.ABORTED, Why.ROLLBACK_REQUESTED, message)
    wanted = choose_adapter(situation, now).revision
    if wanted is None or wanted.digest == candidate.digest or situation.spec.paused:
        return None
    if history.is_excluded(situation.status.history, wanted.digest):
        return None
    baking = candidate.step >= len(situation.spec.rollout.steps)
    alone = situation.status.stable is None and candidate.weight > 0
    if baking or alone:
        return None  # The new revision waits: otherwise no revision would answer the alias.
    return transitions.withdraw(
        situation.status,
        candidate,
        Outcome.SUPERSEDED,
        Why.SUPERSEDED,
        f"{wanted.revision} was requested before it was promoted",
    )


def _accept(situation: Situation, now: dt.datetime) -> Decision | None:  # noqa: PLR0911 - a chain of early decisions
    """Accept what the spec names as the candidate, unless it is stable or excluded."""
    choice, status = choose_adapter(situation, now), situation.status
    if isinstance(situation.server, Unseen) and status.stable is not None and _names_nothing_new(choice, status):
        # As far as is known, the alias answers as before, and there is nothing to do.
        return Decision(status, reconcile_after_seconds=UNSEEN_SECONDS)
    refused = _check_server(situation)
    if refused is not None and (choice.revision is not None or choice.reason is None or _is_stalled(refused)):
        return refused
    if choice.revision is None:
        return (
            None
            if choice.reason is None
            else Decision(status, wait=Wait(choice.reason, choice.message, choice.stalled))
        )
    revision = choice.revision
    if status.stable is not None and revision.digest == status.stable.digest:
        return _consider(choice, status)
    if history.is_excluded(status.history, revision.digest):
        considered = _consider(choice, status)
        message = (
            f"{revision.revision} was rolled back or aborted before. Train a better adapter, or annotate"
            f" tunewright.dev/retry={revision.revision}@<request ID> to try it again."
        )
        status = status if considered is None else considered.status
        return Decision(
            status, wait=Wait(Why.PREVIOUSLY_ROLLED_BACK, message, stalled=True), again=considered is not None
        )
    if situation.spec.paused:
        message = f"spec.paused is true: {revision.revision} is not accepted as the candidate."
        return Decision(status, wait=Wait(Why.PAUSED, message))
    skips = history.may_skip_steps(status.history, revision, named=choice.named)
    accepted = _accept_revision(status, revision, now, step=len(situation.spec.rollout.steps) if skips else 0)
    if choice.job is not None:
        accepted = accepted.updated(last_considered_job=choice.job)
    return Decision(accepted, (Notice(Why.ACCEPTED, f"{revision.revision} is the candidate."),), again=True)


def _names_nothing_new(choice: Choice, status: AdapterDeploymentStatus) -> bool:
    stable = status.stable
    if choice.revision is None:
        return choice.reason is None
    return stable is not None and choice.revision.digest == stable.digest and _consider(choice, status) is None


def _is_stalled(decision: Decision) -> bool:
    return decision.wait is not None and decision.wait.stalled


def _consider(choice: Choice, status: AdapterDeploymentStatus) -> Decision | None:
    """Record a selector's job that cannot become the candidate, so that it is not chosen again."""
    job = choice.job
    if job is None or job == status.last_considered_job:
        return None
    return Decision(status.updated(last_considered_job=job), again=True)


def _accept_revision(
    status: AdapterDeploymentStatus, revision: Revision, now: dt.datetime, *, step: int
) -> AdapterDeploymentStatus:
    candidate = CandidateRevision(**history.as_revision(revision).model_dump(), accepted_at=format_time(now), step=step)
    return status.updated(candidate=candidate)


def _check_server(situation: Situation) -> Decision | None:
    """Wait if there is no server, or if it refuses the alias."""
    status = situation.status
    name = f"{situation.deployment.server_namespace}/{situation.spec.server_ref.name}"
    match situation.server:
        case Missing():
            why = f"spec.serverRef: ModelServer {name} does not exist."
            message = join_sentences(why, Why.SERVER_NOT_FOUND.remedy)
            return transitions.hold(status, Why.SERVER_NOT_FOUND, message, stalled=True)
        case Unseen():
            message = f"ModelServer {name} has no plan yet, or was not reconciled recently; see its conditions."
            return transitions.hold(status, Why.SERVER_NOT_READY, message)
        case Seen(facts):
            refusal = facts.refusals.alias
            if refusal is None:
                return None
            return transitions.hold(status, refusal.reason, refusal.message, stalled=True)


def _advance(situation: Situation, now: dt.datetime) -> Decision | None:
    """Run the candidate's current step."""
    candidate = situation.candidate
    if candidate is None:
        return None
    problem = _check_server(situation)
    if problem is not None or not isinstance(situation.server, Seen):
        return problem
    server = situation.server.facts
    refusal = server.refusals.revisions.get(candidate.revision)
    if refusal is not None:
        waiting = refusal.reason is Why.WAITING_FOR_SLOT
        return transitions.hold(situation.status, refusal.reason, refusal.message, stalled=not waiting)
    if not server.ready_pods:
        return transitions.hold(situation.status, Why.SERVER_NOT_READY, "The ModelServer has no ready replica.")
    step = ActiveStep(situation, candidate, server, now)
    if candidate.step_started_at is None:
        loading = hold_for_loading(step)
        if loading is not None:
            return loading
    return _run_step(step)


def _run_step(step: ActiveStep) -> Decision:
    index, plan = step.candidate.step, step.spec.rollout.steps
    if index >= len(plan):
        return steps.run_bake(step)
    wanted = plan[index]
    if wanted.evaluate is not None:
        return steps.run_evaluate(step)
    if wanted.set_weight is not None:
        return steps.run_set_weight(step, wanted.set_weight)
    if wanted.observe is not None:
        return steps.run_observe(step)
    if wanted.pause is not None:
        return steps.run_pause(step, wanted.pause)
    raise ValueError(f"step {index} of the rollout sets none of evaluate, setWeight, observe, pause")
