"""The evaluate step: the held-out set is sent to the real servers, and the verdict of the report decides."""

from __future__ import annotations

import dataclasses

from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import Outcome
from tunewright_operator.domain.output_schemas import explain_bad_metric
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.rollout.evaluation.job import find_dataset, find_report_uri, view_evaluation
from tunewright_operator.domain.rollout.evaluation.progress import (
    PROGRESS_SECONDS,
    describe_end,
    describe_progress,
    end_progress,
    follow_progress,
    forget_progress,
)
from tunewright_operator.domain.rollout.evaluation.stored_answers import (
    begin_evaluation,
    follow_engine,
    is_mixed,
    record_answers,
)
from tunewright_operator.domain.rollout.holds import END_LATER, hold_paused
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision, Notice
from tunewright_operator.domain.rollout.steps import act_on_inconclusive, pass_step
from tunewright_operator.domain.rollout.transitions import bound_reasons, hold, record_candidate, withdraw
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.times import seconds_since

EVALUATION_RETRY_SECONDS = 300.0
MIXED = "The ModelServer's image or configuration changed, so stored answers cannot be compared with the new ones."


def run_evaluate(step: ActiveStep) -> Decision:  # noqa: PLR0911 - a chain of early decisions
    """Send the held-out set to the real servers, and act on the verdict."""
    candidate = step.candidate
    if not find_dataset(step.spec, candidate):
        message = (
            f"{candidate.revision} has no held-out set. "
            "Set spec.evaluation.dataset.s3.uri, or remove the evaluate step."
        )
        return hold(step.status, Why.NO_EVALUATION_DATASET, message, stalled=True)
    problem = explain_bad_metric(step.spec.evaluation.metrics)
    if problem is not None:
        message = join_sentences(problem, CommonReason.INVALID_SCHEMA.remedy)
        return hold(step.status, CommonReason.INVALID_SCHEMA, message, stalled=True)
    if candidate.step_started_at is None:
        if step.spec.paused:
            return hold_paused(step)
        started = candidate.updated(
            step_started_at=format_time(step.now),
            plan_generation=step.server.generation,
            evaluation=begin_evaluation(step.server),
        )
        begun = record_candidate(step.status, started)
        notice = Notice(Why.EVALUATING, f"The held-out set is sent to {candidate.revision}, which has weight 0.")
        return dataclasses.replace(begun, notices=(notice,))
    step = step.with_candidate(follow_engine(candidate, step.server))
    view = view_evaluation(step.situation, step.now)
    if view.report is not None:
        return _act_on_report(step, view.report, view.finished_at)
    if view.failure:
        return _wait_for_retry(step, view.failure, view.finished_at)
    # An edit of what is measured begins another evaluation; the verdict of the last one is no longer that of the step.
    if step.candidate.verdict is not None:
        step = step.with_candidate(forget_progress(step.candidate.updated(verdict=None, reasons=())))
    if view.waiting:
        return hold(step.status, view.waiting.reason, f"The evaluation's pod waits: {view.waiting.message}")
    followed, notices = follow_progress(step.candidate, view.progress, step.now)
    step = step.with_candidate(followed)
    sent = f"The held-out set is being sent to {candidate.revision}, which has weight 0."
    message = join_sentences(sent, describe_progress(followed))
    return dataclasses.replace(hold(step.status, Why.EVALUATING, message, after=PROGRESS_SECONDS), notices=notices)


def _act_on_report(step: ActiveStep, report: EvaluationReport, finished_at: str) -> Decision:
    """Act on the verdict; when it is new, an Event shows it."""
    decision = _judge(step, report, finished_at)
    if step.candidate.verdict is not None:
        return decision
    message = describe_end(step.candidate.revision, report)
    notice = Notice(Why.EVALUATED, message, warning=report.verdict is Verdict.ERROR)
    return dataclasses.replace(decision, notices=(notice, *decision.notices))


def _judge(step: ActiveStep, report: EvaluationReport, finished_at: str) -> Decision:
    report_uri = find_report_uri(step.situation.deployment, step.candidate)
    step = step.with_status(record_answers(step.status, step.candidate, report, report_uri))
    if is_mixed(step.candidate, report):
        return _wait_for_retry(step, MIXED, finished_at)
    reasons = bound_reasons(metric.describe() for metric in report.metrics) or bound_reasons([report.message])
    judged = end_progress(step.candidate, report).updated(
        verdict=report.verdict.value, reasons=reasons, report_uri=report.report_uri or None
    )
    step = step.with_candidate(judged)
    if report.verdict is Verdict.FAIL:
        message = "; ".join(reasons) or report.message
        if step.spec.paused:
            return hold_paused(step, f"The evaluation failed: {message}", END_LATER)
        return withdraw(step.status, judged, Outcome.ROLLED_BACK, Why.EVALUATION_FAILED, message)
    if report.verdict is Verdict.ERROR:
        return _wait_for_retry(step, report.message, finished_at)
    if report.verdict is Verdict.INCONCLUSIVE:
        return act_on_inconclusive(step, reasons)
    return pass_step(step, f"evaluation: {'; '.join(reasons)}")


def _wait_for_retry(step: ActiveStep, problem: str, finished_at: str) -> Decision:
    candidate = step.candidate
    waited = seconds_since(finished_at, step.now) if finished_at else 0.0
    if waited >= EVALUATION_RETRY_SECONDS and not step.spec.paused:
        return record_candidate(step.status, candidate.begin_step(candidate.step))
    step = step.with_candidate(candidate.updated(verdict=Verdict.ERROR.value, reasons=bound_reasons([problem])))
    problem = f"The evaluation could not measure: {problem}"
    if step.spec.paused:
        return hold_paused(step, problem, "It runs again when spec.paused is false.")
    message = join_sentences(
        problem,
        "The evaluation runs again automatically.",
        "To run it again now, send a retry request; to stop the rollout, send an abort request.",
    )
    left = EVALUATION_RETRY_SECONDS - waited
    return hold(step.status, Why.EVALUATION_ERROR, message, stalled=True, after=left)
