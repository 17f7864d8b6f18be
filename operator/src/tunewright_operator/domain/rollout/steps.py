"""The steps of a rollout: what each one waits for, and what follows from its verdict.

Each function gets the active step and returns one `Decision`. Only Pass automatically moves the rollout forward, and
only Fail automatically rolls it back.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import Outcome, PauseStep
from tunewright_operator.domain.evidence.exposure import Concern
from tunewright_operator.domain.evidence.observation import MAX_READING_GAP_SECONDS
from tunewright_operator.domain.evidence.verdict import Assessment
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.holds import WATCH_SECONDS, hold_for_convergence, hold_paused, how_to_decide
from tunewright_operator.domain.rollout.live_window import find_evidence, has_window, open_window, watch
from tunewright_operator.domain.rollout.loading import hold_for_loading
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision, Notice, Situation
from tunewright_operator.domain.rollout.requests import find_kept_promotion
from tunewright_operator.domain.rollout.transitions import (
    begin_next_step,
    bound_reasons,
    hold,
    promote,
    record_candidate,
    withdraw,
)
from tunewright_operator.domain.sentences import join_sentences, start_sentence
from tunewright_operator.domain.times import seconds_since


def run_set_weight(step: ActiveStep) -> Decision:
    """Wait until every ready replica routes by the new weight."""
    candidate = step.candidate
    if not step.situation.converged:
        return hold_for_convergence(step)
    if step.spec.paused:
        return hold_paused(step)
    notice = Notice(Why.WEIGHT_SET, f"{candidate.revision} answers {candidate.weight} % on every ready replica.")
    return begin_next_step(step.status, candidate, notice)


def run_observe(step: ActiveStep) -> Decision:
    """Compare live metrics of both arms until there is a verdict."""
    if not has_window(step):
        return open_window(step)
    step, assessment = watch(step)
    return step.keep_evidence(_judge_observation(step, assessment))


def _judge_observation(step: ActiveStep, assessment: Assessment) -> Decision:
    if assessment.verdict is Verdict.FAIL:
        return _fail_guardrail(step, assessment)
    if assessment.verdict is Verdict.PASS:
        if step.spec.paused:
            return hold_paused(step)
        return pass_step(step, "; ".join(assessment.reasons))
    if assessment.verdict is Verdict.INCONCLUSIVE:
        return act_on_inconclusive(step, assessment.reasons)
    return _hold_for_evidence(step, Why.OBSERVING, assessment)


def run_bake(step: ActiveStep) -> Decision:
    """Let the candidate answer all clients while the incumbent stays loaded; after that, make it stable."""
    seconds = step.spec.rollout.bake_seconds
    if seconds == 0 or not has_window(step):
        if not step.situation.converged:
            return hold_for_convergence(step)
        if seconds == 0:
            return hold_paused(step) if step.spec.paused else _promote(step, "the spec asks for no bake")
        return open_window(step)
    step, assessment = watch(step)
    return step.keep_evidence(_judge_bake(step, assessment))


def _judge_bake(step: ActiveStep, assessment: Assessment) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    if assessment.verdict is Verdict.FAIL:
        return _fail_guardrail(step, assessment)
    if assessment.verdict is Verdict.ERROR:
        return _hold_for_evidence(step, Why.BAKING, assessment)
    loading = hold_for_loading(step)
    if loading is not None:
        # A replica that was added during the bake cannot answer yet, and no metric counts the requests that it refuses.
        return dataclasses.replace(loading, reconcile_after_seconds=WATCH_SECONDS)
    if assessment.verdict is Verdict.PASS:
        if step.spec.paused:
            return hold_paused(step)
        return _promote(step, f"baked for {step.spec.rollout.bake_seconds} s; {'; '.join(assessment.reasons)}")
    if assessment.verdict is Verdict.INCONCLUSIVE:
        return _act_on_unjudged_bake(step, assessment.reasons)
    return _hold_for_evidence(step, Why.BAKING, assessment)


def run_without_ready_pod(step: ActiveStep) -> Decision:
    """Wait for a ready replica. An open window has the verdict Error, and its time does not count.

    Counters of pods that are not ready are still read: a candidate may be the cause.
    """
    missing = "The ModelServer has no ready replica."
    if not has_window(step):
        return hold(step.status, Why.SERVER_NOT_READY, missing)
    step, assessment = watch(step)
    if assessment.verdict is Verdict.FAIL:
        return _fail_guardrail(step, assessment)
    text = "; ".join(assessment.reasons) if assessment.verdict is Verdict.ERROR else ""
    return step.keep_evidence(
        hold(step.status, Why.SERVER_NOT_READY, join_sentences(missing, text), after=WATCH_SECONDS)
    )


def hold_unseen(situation: Situation, decision: Decision, now: dt.datetime) -> Decision:
    """Return a decision to wait for the server, with the verdict Error for a window that was not read for long."""
    candidate, wait = situation.candidate, decision.wait
    observation = find_evidence(situation)
    if candidate is None or observation is None or wait is None:
        return decision
    if candidate.step_started_at is None or observation.step_index != candidate.step:
        return decision
    left = MAX_READING_GAP_SECONDS - observation.seconds_unread(now)
    if left >= 0:
        return dataclasses.replace(decision, reconcile_after_seconds=left + WATCH_SECONDS)
    unread = candidate.updated(verdict=Verdict.ERROR.value, reasons=bound_reasons([wait.message]))
    return dataclasses.replace(decision, status=decision.status.updated(candidate=unread))


def run_pause(step: ActiveStep, pause: PauseStep) -> Decision:
    """Wait for a time, or for a manual request."""
    candidate = step.candidate
    if step.spec.paused:
        return hold_paused(step)
    if candidate.step_started_at is None:
        return record_candidate(step.status, candidate.updated(step_started_at=format_time(step.now)))
    if pause.seconds is None:
        promoted = _take_kept_promotion(step)
        if promoted is not None:
            return promoted
        message = join_sentences(f"{candidate.revision} waits at {candidate.weight} %.", how_to_decide(candidate))
        return hold(step.status, Why.AWAITING_PROMOTION, message)
    left = pause.seconds - seconds_since(candidate.step_started_at, step.now)
    if left > 0:
        message = f"{candidate.revision} stays at {candidate.weight} % for {left:.0f} s."
        return hold(step.status, Why.PAUSING, message, after=left)
    return begin_next_step(step.status, candidate, None)


def pass_step(step: ActiveStep, message: str) -> Decision:
    """Begin the next step after a Pass. While the spec is paused, wait: the verdict is acted on later."""
    if step.spec.paused:
        return hold_paused(step)
    notice = Notice(Why.STEP_PASSED, f"{step.candidate.revision} passed step {step.candidate.step}: {message}")
    return begin_next_step(step.status, step.candidate, notice)


def _hold_for_evidence(step: ActiveStep, reason: Why, assessment: Assessment) -> Decision:
    """Wait while a window has no verdict, could not be read, or has requests that are not distributed by the weight."""
    text = "; ".join(assessment.reasons)
    if assessment.concern is not None:
        why = {Concern.SHARE: Why.EXPOSURE_EXCEEDED, Concern.KEY: Why.DOMINANT_KEY}[assessment.concern]
        message = join_sentences(f"{step.candidate.revision}: {text}", why.remedy, how_to_decide(step.candidate))
        return hold(step.status, why, message, stalled=True, after=WATCH_SECONDS)
    reason = Why.SERVER_NOT_READY if assessment.verdict is Verdict.ERROR else reason
    return hold(step.status, reason, start_sentence(text), after=WATCH_SECONDS)


def _promote(step: ActiveStep, message: str) -> Decision:
    return promote(step.situation, step.candidate, step.now, message)


def _act_on_unjudged_bake(step: ActiveStep, reasons: tuple[str, ...]) -> Decision:
    """Continue to watch a bake in which no answer could be judged.

    Missing evidence must undo neither the steps that passed nor a manual rollback.
    """
    text = "; ".join(reasons)
    if step.spec.rollout.on_inconclusive == "Promote" and not step.spec.paused:
        return _promote(step, f"onInconclusive is Promote; {text}")
    promoted = _take_kept_promotion(step)
    if promoted is not None:
        return promoted
    message = join_sentences(
        f"{step.candidate.revision}: {text}",
        "The bake continues until an answer can be judged.",
        how_to_decide(step.candidate),
    )
    return hold(step.status, Why.INCONCLUSIVE, message, stalled=True, after=WATCH_SECONDS)


def act_on_inconclusive(step: ActiveStep, reasons: tuple[str, ...]) -> Decision:
    """Do what `onInconclusive` asks for a step without enough evidence."""
    judged = step.candidate.updated(verdict=Verdict.INCONCLUSIVE.value, reasons=bound_reasons(reasons))
    step = step.with_candidate(judged)
    text = "; ".join(reasons)
    policy = step.spec.rollout.on_inconclusive
    if step.spec.paused and policy != "Pause":
        return hold_paused(step, f"Verdict Inconclusive: {text}", f"onInconclusive: {policy} applies afterwards.")
    if policy == "Rollback":
        return withdraw(step.status, judged, Outcome.ROLLED_BACK, Why.INCONCLUSIVE_ROLLED_BACK, text)
    if policy == "Promote":
        notice = Notice(Why.STEP_PROMOTED, f"{judged.revision}: onInconclusive is Promote; {text}")
        return begin_next_step(step.status, judged, notice)
    promoted = _take_kept_promotion(step)
    if promoted is not None:
        return promoted
    message = join_sentences(f"{judged.revision}: {text}", how_to_decide(judged))
    return hold(step.status, Why.INCONCLUSIVE, message, stalled=True, after=WATCH_SECONDS)


def _take_kept_promotion(step: ActiveStep) -> Decision | None:
    """Pass a step that waits for a manual request, or end the bake, if a promote request was kept for it."""
    kept = find_kept_promotion(step.status, step.situation.annotations)
    if kept is None or step.spec.paused:
        return None
    candidate, message = step.candidate.updated(kept_promotion=None), f"promoted by annotation {kept}"
    if candidate.step >= len(step.spec.rollout.steps):
        return promote(step.situation, candidate, step.now, message)
    notice = Notice(Why.STEP_PROMOTED, f"{candidate.revision} passed step {candidate.step}: {message}")
    return begin_next_step(step.status, candidate, notice)


def _fail_guardrail(step: ActiveStep, assessment: Assessment) -> Decision:
    message = "; ".join(assessment.reasons)
    return withdraw(step.status, step.candidate, Outcome.ROLLED_BACK, Why.GUARDRAIL_FAILED, message)
