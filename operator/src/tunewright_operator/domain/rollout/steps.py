"""The steps of a rollout: what each waits for, and what its verdict does.

Each function looks at one situation and returns one `Decision`. Only Pass moves forward by itself, only Fail rolls back by itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import datetime
from typing import Any

from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    CandidateRevision,
    Outcome,
    PauseStep,
)
from tunewright_operator.domain.evidence import window
from tunewright_operator.domain.evidence.verdict import Assessment
from tunewright_operator.domain.output_schemas import explain_bad_metric
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.rollout.loading import hold_for_loading
from tunewright_operator.domain.rollout.observation import Decision, Notice, Situation, Wait
from tunewright_operator.domain.rollout.transitions import (
    FRESH_STEP,
    bound_reasons,
    change_candidate,
    hold,
    promote,
    step_on,
    withdraw,
)
from tunewright_operator.domain.serving.replica import ServerFacts
from tunewright_operator.domain.times import format_time, seconds_since

WATCH_SECONDS = 5.0
"""How often a window's counters are read into the status."""
EVALUATION_RETRY_SECONDS = 300.0


def evaluation_key(candidate: CandidateRevision) -> str:
    """Return what names the evaluation of the candidate's current step: another acceptance or another try is another Job."""
    parts = (candidate.digest, candidate.accepted_at, str(candidate.step), candidate.step_started_at or "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def wants_evaluation(situation: Situation) -> bool:
    """Whether the current step's evaluation Job must exist."""
    candidate, steps = situation.candidate, situation.spec.rollout.steps
    return (
        candidate is not None
        and candidate.ending is None
        and candidate.step < len(steps)
        and steps[candidate.step].evaluate is not None
        and candidate.step_started_at is not None
    )


def run_evaluate(situation: Situation, candidate: CandidateRevision, server: ServerFacts, now: datetime) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    """Ask the held-out set of the real servers, and act on the verdict."""
    if not dataset_of(situation, candidate):
        message = f"{candidate.revision} names no held-out set. Set spec.evaluation.dataset.s3.uri, or remove the evaluate step."
        return hold(situation, Why.NO_EVALUATION_DATASET, message, stalled=True)
    problem = explain_bad_metric(situation.spec.evaluation.metrics)
    if problem is not None:
        return hold(
            situation, CommonReason.INVALID_SCHEMA, f"{problem}. {CommonReason.INVALID_SCHEMA.remedy}", stalled=True
        )
    if candidate.step_started_at is None:
        if situation.spec.paused:
            return hold_paused(situation)
        changes = {"step_started_at": format_time(now), "plan_generation": server.generation}
        return Decision(change_candidate(situation.status, candidate, **changes), again=True)
    view = situation.evaluation
    if view.report is not None:
        return _act_on_report(situation, candidate, view.report, view.finished_at, now)
    if view.failure:
        return _wait_for_retry(situation, candidate, view.failure, view.finished_at, now)
    if view.waiting:
        return hold(situation, CommonReason.POD_PENDING, f"the evaluation's pod waits: {view.waiting}")
    return hold(situation, Why.EVALUATING, f"asking {candidate.revision} the held-out set at weight 0.")


def dataset_of(situation: Situation, candidate: CandidateRevision) -> str:
    """Return the address of the held-out set: the spec's, or the one that the adapter's job never trained on."""
    dataset = situation.spec.evaluation.dataset
    return dataset.s3.uri if dataset is not None else candidate.evaluation_dataset_uri


def _act_on_report(
    situation: Situation, candidate: CandidateRevision, report: EvaluationReport, finished_at: str, now: datetime
) -> Decision:
    reasons = bound_reasons(metric.describe() for metric in report.metrics) or bound_reasons([report.message])
    told = candidate.model_copy(
        update={"verdict": report.verdict.value, "reasons": reasons, "report_uri": report.report_uri or None}
    )
    if report.verdict is Verdict.FAIL:
        return withdraw(
            situation.status, told, Outcome.ROLLED_BACK, Why.EVALUATION_FAILED, "; ".join(reasons) or report.message
        )
    if report.verdict is Verdict.ERROR:
        return _wait_for_retry(situation, told, report.message, finished_at, now)
    if report.verdict is Verdict.INCONCLUSIVE:
        return _act_on_inconclusive(situation, told, reasons)
    return pass_step(situation, told, f"evaluation: {'; '.join(reasons)}")


def _wait_for_retry(
    situation: Situation, candidate: CandidateRevision, problem: str, finished_at: str, now: datetime
) -> Decision:
    waited = seconds_since(finished_at, now) if finished_at else 0.0
    if waited >= EVALUATION_RETRY_SECONDS:
        after = change_candidate(situation.status, candidate, **FRESH_STEP)
        return Decision(after, again=True)
    told = change_candidate(situation.status, candidate, verdict=Verdict.ERROR.value, reasons=bound_reasons([problem]))
    message = f"the evaluation could not measure: {problem} It runs again by itself; abort or retry by annotation."
    return Decision(
        told, wait=Wait(Why.EVALUATION_ERROR, message, stalled=True), look_after=EVALUATION_RETRY_SECONDS - waited
    )


def run_set_weight(
    situation: Situation, candidate: CandidateRevision, server: ServerFacts, weight: int, now: datetime
) -> Decision:
    """Give the candidate a share, and wait until every ready replica routes by it."""
    # Another weight than the step's: it begins, or the spec's steps changed under a candidate that waited here.
    if candidate.step_started_at is None or candidate.weight != _share(situation, weight):
        if situation.spec.paused:
            return hold_paused(situation)
        return _set_weight(situation, candidate, weight, step_started_at=format_time(now))
    if not situation.converged:
        return hold_for_convergence(situation, server)
    if situation.spec.paused:
        return hold_paused(situation)
    notice = Notice(Why.WEIGHT_SET, f"{candidate.revision} answers {candidate.weight} % on every ready replica.")
    return step_on(situation, candidate, notice)


def _set_weight(situation: Situation, candidate: CandidateRevision, weight: int, **changes: Any) -> Decision:
    """Write a weight."""
    share = _share(situation, weight)
    return Decision(change_candidate(situation.status, candidate, weight=share, **changes), again=True)


def _share(situation: Situation, weight: int) -> int:
    """Return a step's weight; without an incumbent the candidate answers everybody, since nobody else may."""
    return weight if situation.status.stable is not None else 100


def run_observe(situation: Situation, candidate: CandidateRevision, server: ServerFacts, now: datetime) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    """Compare live metrics of both arms until there is a verdict."""
    if situation.status.stable is None and candidate.weight != 100:
        return hold_paused(situation) if situation.spec.paused else _set_weight(situation, candidate, 100)
    if not _has_window(situation, candidate, server):
        return _open_window(situation, candidate, server, now)
    grown, assessment = _watch(situation, candidate, server, now)
    if assessment.verdict is Verdict.FAIL:
        return _fail_guardrail(situation.status, grown, assessment)
    told = change_candidate(situation.status, grown)
    situation = _with_status(situation, told)
    if assessment.verdict is Verdict.PASS:
        if situation.spec.paused:
            return hold_paused(situation)
        return pass_step(situation, grown, "; ".join(assessment.reasons))
    if assessment.verdict is Verdict.INCONCLUSIVE:
        return _act_on_inconclusive(situation, grown, assessment.reasons)
    reason = Why.SERVER_NOT_READY if assessment.verdict is Verdict.ERROR else Why.OBSERVING
    return hold(situation, reason, "; ".join(assessment.reasons), after=WATCH_SECONDS)


def run_bake(situation: Situation, candidate: CandidateRevision, server: ServerFacts, now: datetime) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    """Let the candidate answer everybody while the incumbent stays loaded; then it is stable."""
    if candidate.weight != 100:
        return hold_paused(situation) if situation.spec.paused else _set_weight(situation, candidate, 100, **FRESH_STEP)
    seconds = situation.spec.rollout.bake_seconds
    if seconds == 0 or not _has_window(situation, candidate, server):
        if not situation.converged:
            return hold_for_convergence(situation, server)
        if seconds == 0:
            return (
                hold_paused(situation)
                if situation.spec.paused
                else promote(situation, candidate, now, "no bake asked for")
            )
        return _open_window(situation, candidate, server, now)
    grown, assessment = _watch(situation, candidate, server, now)
    if assessment.verdict is Verdict.FAIL:
        return _fail_guardrail(situation.status, grown, assessment)
    situation = _with_status(situation, change_candidate(situation.status, grown))
    loading = hold_for_loading(situation, grown, server)
    if loading is not None:
        # A replica that came in the bake answers nobody, and refused requests are in no metric.
        return dataclasses.replace(loading, look_after=WATCH_SECONDS)
    if assessment.verdict is Verdict.PASS:
        if situation.spec.paused:
            return hold_paused(situation)
        return promote(situation, grown, now, f"baked for {seconds} s; {'; '.join(assessment.reasons)}")
    if assessment.verdict is Verdict.INCONCLUSIVE:
        return _act_on_unjudged_bake(situation, grown, assessment.reasons, now)
    reason = Why.SERVER_NOT_READY if assessment.verdict is Verdict.ERROR else Why.BAKING
    return hold(situation, reason, "; ".join(assessment.reasons), after=WATCH_SECONDS)


def run_pause(situation: Situation, candidate: CandidateRevision, pause: PauseStep, now: datetime) -> Decision:
    """Wait for a time, or for a person."""
    if situation.spec.paused:
        return hold_paused(situation)
    if candidate.step_started_at is None:
        return Decision(change_candidate(situation.status, candidate, step_started_at=format_time(now)), again=True)
    if pause.seconds is None:
        message = f"{candidate.revision} waits at {candidate.weight} %. {how_to_decide(candidate)}"
        return hold(situation, Why.AWAITING_PROMOTION, message)
    left = pause.seconds - seconds_since(candidate.step_started_at, now)
    if left > 0:
        return hold(
            situation, Why.PAUSING, f"{candidate.revision} stays at {candidate.weight} % for {left:.0f} s.", after=left
        )
    return step_on(situation, candidate, None)


def pass_step(situation: Situation, candidate: CandidateRevision, message: str) -> Decision:
    """Move on after a Pass, unless paused: the verdict is kept and acted on later."""
    if situation.spec.paused:
        return hold_paused(_with_status(situation, change_candidate(situation.status, candidate)))
    return step_on(
        situation, candidate, Notice(Why.STEP_PASSED, f"{candidate.revision} passed step {candidate.step}: {message}")
    )


def how_to_decide(candidate: CandidateRevision) -> str:
    """Return what a person can do now."""
    return (
        f"Annotate tunewright.dev/promote={candidate.revision}@<anything> to go on,"
        f" or tunewright.dev/abort={candidate.revision}@<anything> to go back."
    )


def hold_paused(situation: Situation) -> Decision:
    """Wait for `spec.paused` to become false; a window that is open is still watched."""
    return hold(
        situation, Why.PAUSED, "spec.paused is true: guardrails watch, nothing moves forward.", after=WATCH_SECONDS
    )


def hold_for_convergence(situation: Situation, server: ServerFacts) -> Decision:
    """Wait until every ready replica routes as the status says."""
    lagging = [pod.name for pod in server.ready_pods if pod.generation < server.generation]
    if not server.ready_pods:
        return hold(situation, Why.SERVER_NOT_READY, "the ModelServer has no ready replica.")
    where = f" Not yet there: {', '.join(lagging)}." if lagging else ""
    return hold(situation, Why.SHIFTING, f"waiting for plan {server.generation} on every ready replica.{where}")


def _act_on_unjudged_bake(
    situation: Situation, candidate: CandidateRevision, reasons: tuple[str, ...], now: datetime
) -> Decision:
    """Go on watching a bake in which no answer could be judged: a missing word must not undo what passed, or a person's rollback."""
    text = "; ".join(reasons)
    if situation.spec.rollout.on_inconclusive == "Promote" and not situation.spec.paused:
        return promote(situation, candidate, now, f"onInconclusive is Promote; {text}")
    message = f"{candidate.revision}: {text}. It goes on until one could. {how_to_decide(candidate)}"
    return hold(situation, Why.INCONCLUSIVE, message, stalled=True, after=WATCH_SECONDS)


def _act_on_inconclusive(situation: Situation, candidate: CandidateRevision, reasons: tuple[str, ...]) -> Decision:
    told = candidate.model_copy(update={"verdict": Verdict.INCONCLUSIVE.value, "reasons": bound_reasons(reasons)})
    text = "; ".join(reasons)
    match situation.spec.rollout.on_inconclusive:
        case "Rollback":
            return withdraw(situation.status, told, Outcome.ROLLED_BACK, Why.INCONCLUSIVE_ROLLED_BACK, text)
        case "Promote" if not situation.spec.paused:
            notice = Notice(Why.STEP_PROMOTED, f"{told.revision}: onInconclusive is Promote; {text}")
            return step_on(situation, told, notice)
        case _:
            message = f"{told.revision}: {text}. {how_to_decide(told)}"
            wait = Wait(Why.INCONCLUSIVE, message, stalled=True)
            return Decision(change_candidate(situation.status, told), wait=wait, look_after=WATCH_SECONDS)


def _fail_guardrail(status: AdapterDeploymentStatus, candidate: CandidateRevision, assessment: Assessment) -> Decision:
    return withdraw(status, candidate, Outcome.ROLLED_BACK, Why.GUARDRAIL_FAILED, "; ".join(assessment.reasons))


def _has_window(situation: Situation, candidate: CandidateRevision, server: ServerFacts) -> bool:
    """Whether the observation is of this step: the spec's steps may have changed under the candidate since it began."""
    observation = window.parse_observation(candidate)
    if candidate.step_started_at is None or observation is None or observation.step_index != candidate.step:
        return False
    return observation.comparison is _window(situation, candidate, server, tuple(observation.metrics)).comparison


def _open_window(situation: Situation, candidate: CandidateRevision, server: ServerFacts, now: datetime) -> Decision:
    if not situation.converged:
        return hold_for_convergence(situation, server)
    if situation.spec.paused:
        return hold_paused(situation)
    observation = window.open_window(
        _window(situation, candidate, server), candidate, _read(situation, candidate, server), now
    )
    changes = {
        "step_started_at": format_time(now),
        "plan_generation": server.generation,
        "observation": observation.to_wire(),
    }
    return Decision(change_candidate(situation.status, candidate, **changes), again=True)


def _watch(
    situation: Situation, candidate: CandidateRevision, server: ServerFacts, now: datetime
) -> tuple[CandidateRevision, Assessment]:
    """Return the candidate with the evidence up to now, and what it shows."""
    observation = window.parse_observation(candidate)
    if observation is None:
        raise ValueError(f"{candidate.revision}: a window is open without an observation")
    rules = _window(situation, candidate, server, tuple(observation.metrics))
    grown, assessment = window.watch(
        rules, observation, _read(situation, candidate, server), {pod.uid for pod in server.pods}, now
    )
    drop = assessment.detectable_drop
    changes = {
        "observation": grown.to_wire(),
        "verdict": assessment.verdict.value if assessment.verdict else None,
        "reasons": bound_reasons(assessment.reasons),
        "detectable_drop": None if drop is None else f"{drop:.3f}",
    }
    return candidate.model_copy(update=changes), assessment


def _window(
    situation: Situation, candidate: CandidateRevision, server: ServerFacts, opened_with: tuple[str, ...] | None = None
) -> window.Window:
    """Return the rules of the current window; one that is open keeps the metrics that it was opened with."""
    known = server.slow_after_milliseconds is not None if opened_with is None else "Latency" in opened_with
    return window.build_window(
        situation.spec, candidate.step, has_incumbent=situation.status.stable is not None, slow_limit_known=known
    )


def _read(situation: Situation, candidate: CandidateRevision, server: ServerFacts) -> list[Any]:
    stable = situation.status.stable
    states = [pod.state for pod in server.pods if pod.state is not None]
    return window.read_pods(states, situation.spec.model_name, candidate.revision, stable.revision if stable else None)


def _with_status(situation: Situation, status: AdapterDeploymentStatus) -> Situation:
    return dataclasses.replace(situation, status=status)
