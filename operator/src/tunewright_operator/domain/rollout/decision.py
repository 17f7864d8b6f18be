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
from tunewright_operator.api.adapter_deployment import Outcome, Revision, Verb
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import history, steps, transitions
from tunewright_operator.domain.rollout.acceptance import accept, check_server
from tunewright_operator.domain.rollout.evaluation.job import find_evaluation_problem, plan_evaluations
from tunewright_operator.domain.rollout.evaluation.step import run_evaluate
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
from tunewright_operator.domain.rollout.position import follow_steps, record_steps
from tunewright_operator.domain.rollout.requests import list_pending
from tunewright_operator.domain.rollout.selection import choose_adapter, find_passed_over
from tunewright_operator.domain.rollout.verbs import handle_request
from tunewright_operator.domain.rollout.weight import lower_weight, raise_weight
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.serving.weights import desired_targets

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
    status = record_steps(situation, decision.status)
    status = status.updated(passed_over_jobs=find_passed_over(situation, status))
    return dataclasses.replace(decision, status=status, actions=actions, wait=wait)


def _decide_status(situation: Situation, now: dt.datetime) -> Decision:
    """Return the decision of the first rule that makes one."""
    for rule in RULES:
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


def _finish_ending(situation: Situation, now: dt.datetime) -> Decision | None:
    """Record the end of a withdrawn candidate when every ready replica routes without it."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is None:
        return None
    match situation.server:
        case Missing():
            withdrawn = True
        case Unseen():
            withdrawn = False
        case Seen(facts):
            withdrawn = facts.targets is None or facts.is_everywhere(desired_targets(situation.status))
    if not withdrawn:
        message = join_sentences(
            f"{candidate.ending.reason}: the requests of {candidate.revision} move back.", candidate.ending.message
        )
        return transitions.hold(situation.status, Why.WITHDRAWING, message)
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


def _advance(situation: Situation, now: dt.datetime) -> Decision | None:  # noqa: PLR0911 - a chain of early decisions
    """Run the candidate's current step."""
    candidate = situation.candidate
    if candidate is None:
        return None
    problem = check_server(situation)
    if problem is not None:
        return steps.hold_unseen(situation, problem, now) if isinstance(situation.server, Unseen) else problem
    if not isinstance(situation.server, Seen):
        return None
    server = situation.server.facts
    refusal = server.refusals.revisions.get(candidate.revision)
    if refusal is not None:
        waiting = refusal.reason is Why.WAITING_FOR_SLOT
        return transitions.hold(situation.status, refusal.reason, refusal.message, stalled=not waiting)
    step = ActiveStep(situation, candidate, server, now)
    if not server.ready_pods:
        return steps.run_without_ready_pod(step)
    if candidate.step_started_at is None:
        loading = hold_for_loading(step)
        if loading is not None:
            return loading
    raised = raise_weight(step)
    return _run_step(step) if raised is None else raised


def _run_step(step: ActiveStep) -> Decision:
    index, plan = step.candidate.step, step.spec.rollout.steps
    if index >= len(plan):
        return steps.run_bake(step)
    wanted = plan[index]
    if wanted.evaluate is not None:
        return run_evaluate(step)
    if wanted.set_weight is not None:
        return steps.run_set_weight(step)
    if wanted.observe is not None:
        return steps.run_observe(step)
    if wanted.pause is not None:
        return steps.run_pause(step, wanted.pause)
    raise ValueError(f"step {index} of the rollout sets none of evaluate, setWeight, observe, pause")


RULES: tuple[Rule, ...] = (
    _convert_status,
    follow_steps,
    handle_request,
    _finish_ending,
    lower_weight,
    _follow_address,
    _supersede,
    _advance,
    accept,
)
"""The rules in the order in which they are tried; the first decision is taken."""
