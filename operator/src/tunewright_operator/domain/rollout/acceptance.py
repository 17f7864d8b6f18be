"""Accept the adapter that the spec names as the candidate, unless it is stable or excluded."""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, CandidateRevision, Revision
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import history, transitions
from tunewright_operator.domain.rollout.observation import Decision, Missing, Notice, Seen, Situation, Unseen, Wait
from tunewright_operator.domain.rollout.position import list_steps
from tunewright_operator.domain.rollout.selection import Choice, choose_adapter
from tunewright_operator.domain.sentences import join_sentences


def accept(situation: Situation, now: dt.datetime) -> Decision | None:  # noqa: PLR0911 - a chain of early decisions
    """Accept what the spec names as the candidate, unless it is stable or excluded."""
    choice, status = choose_adapter(situation, now), situation.status
    if isinstance(situation.server, Unseen) and status.stable is not None and _names_nothing_new(choice, status):
        # As far as is known, the alias answers as before, and there is nothing to do.
        return Decision(status)
    refused = check_server(situation)
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
    accepted = accept_revision(situation, status, revision, now, skips=skips)
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


def accept_revision(
    situation: Situation, status: AdapterDeploymentStatus, revision: Revision, now: dt.datetime, *, skips: bool
) -> AdapterDeploymentStatus:
    """Return the status with a revision as the candidate: at the first step, or in the bake if it skips the steps."""
    steps = list_steps(situation.spec)
    candidate = CandidateRevision(
        **history.as_revision(revision).model_dump(),
        accepted_at=format_time(now),
        step=len(steps) if skips else 0,
        seen_steps=steps,
    )
    return status.updated(candidate=candidate)


def check_server(situation: Situation) -> Decision | None:
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
