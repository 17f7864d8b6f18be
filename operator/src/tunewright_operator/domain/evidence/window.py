"""The live windows of a rollout: their rules from the spec, and their evidence from the pods' counters."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import PodState, RevisionCounters
from tunewright_operator.api.adapter_deployment import AdapterDeploymentSpec, CandidateRevision, Guardrail
from tunewright_operator.domain.evidence.counters import NO_ANSWERS, ArmCounters, EvidenceError, PodReading
from tunewright_operator.domain.evidence.latency import MIN_ANSWERS_FOR_P95
from tunewright_operator.domain.evidence.observation import (
    LATENCY_MAX_REGRESSION,
    MAX_REGRESSION,
    Comparison,
    LiveMetric,
    Observation,
    PastWindow,
    absorb,
    incumbent_window,
    open_observation,
)
from tunewright_operator.domain.evidence.verdict import Assessment, ErrorBudget, ObservationSpec, assess


@dataclasses.dataclass(frozen=True)
class Window:
    """The rules of one window, which follow from the spec and from what the candidate is compared with."""

    step_index: int
    comparison: Comparison
    metrics: tuple[LiveMetric, ...]
    rules: ObservationSpec
    not_judged: tuple[str, ...] = ()
    """A text for each metric of the spec that this window cannot judge."""


def build_window(
    spec: AdapterDeploymentSpec, step_index: int, *, has_incumbent: bool, slow_limit_known: bool
) -> Window:
    """Return the rules of an observe step, or of the bake if the index is past the last step."""
    judged = {guardrail.type for guardrail in spec.analysis.metrics}
    not_judged: tuple[str, ...] = ()
    if LiveMetricType.LATENCY in judged and not (has_incumbent and slow_limit_known):
        judged.remove(LiveMetricType.LATENCY)
        not_judged = (f"Latency is not judged: {_explain_no_limit(has_incumbent=has_incumbent)}",)
    metrics = tuple(
        _to_rule(each, has_incumbent=has_incumbent) for each in spec.analysis.metrics if each.type in judged
    )
    steps = spec.rollout.steps
    observe = steps[step_index].observe if step_index < len(steps) else None
    watched = sum(step.observe is not None for step in steps) + (spec.rollout.bake_seconds > 0)
    budget = ErrorBudget.share_out(float(spec.analysis.confidence), metrics, max(1, watched))
    if observe is not None:
        comparison = Comparison.INCUMBENT if has_incumbent else Comparison.NONE
        rules = ObservationSpec(observe.min_requests, observe.max_seconds, budget)
    else:
        comparison = Comparison.LAST_WINDOW if has_incumbent else Comparison.NONE
        rules = ObservationSpec(0, spec.rollout.bake_seconds, budget, full_window=True)
    return Window(step_index, comparison, metrics, rules, not_judged)


def _explain_no_limit(*, has_incumbent: bool) -> str:
    """Return why there is no latency limit: it is derived from the incumbent's answers (ADR 7)."""
    if not has_incumbent:
        return "there is no incumbent to compare with"
    return f"the incumbent had fewer than {MIN_ANSWERS_FOR_P95} answers when the rollout began"


def _to_rule(guardrail: Guardrail, *, has_incumbent: bool) -> LiveMetric:
    """Return how a guardrail of the spec is judged; it is compared with the incumbent only if there is one."""
    rise = LATENCY_MAX_REGRESSION if guardrail.type is LiveMetricType.LATENCY else None
    if guardrail.max_regression is not None:
        rise = min(float(guardrail.max_regression), MAX_REGRESSION)
    least = None if guardrail.minimum is None else float(guardrail.minimum)
    return LiveMetric(guardrail.type.value, max_regression=rise if has_incumbent else None, minimum=least)


def read_pods(states: Iterable[PodState], alias: str, candidate: str, incumbent: str | None) -> list[PodReading]:
    """Return the counters of both arms. A pod with unusable counters is treated like a pod that did not answer.

    This includes a pod whose current plan does not ask for buckets: its counters would be read as zero, and the next
    reading would then add everything that it has ever counted.
    """
    readings: list[PodReading] = []
    for state in states:
        counters = {entry.revision: entry for entry in state.counters if entry.alias == alias}
        if any(_has_no_buckets(entry) for entry in counters.values()):
            continue
        try:
            readings.append(
                PodReading(
                    pod_uid=state.pod_uid,
                    boot_id=state.boot_id,
                    candidate=_read_arm(counters.get(candidate)),
                    incumbent=_read_arm(counters.get(incumbent) if incumbent else None),
                )
            )
        except EvidenceError:
            continue
    return readings


def _has_no_buckets(counters: RevisionCounters) -> bool:
    return counters.answers > 0 and not counters.answers_by_bucket and not counters.unchecked_by_bucket


def _read_arm(counters: RevisionCounters | None) -> ArmCounters:
    if counters is None or not counters.answers_by_bucket:
        return ArmCounters()
    # A server lists a metric only after its first bad answer; until then all answers are good.
    bad = {metric.value: counters.bad_by_bucket.get(metric.value) or NO_ANSWERS for metric in LiveMetricType}
    unchecked = counters.unchecked_by_bucket or NO_ANSWERS
    pairs = zip(counters.answers_by_bucket, unchecked, strict=False)  # ArmCounters refuses an array of another length.
    judged = tuple(answers - skipped for answers, skipped in pairs)
    # An answer whose contract could not be checked in time is neither good nor bad.
    return ArmCounters(
        answers=counters.answers_by_bucket, bad=bad, judged={LiveMetricType.OUTPUT_CONTRACT.value: judged}
    )


def open_window(
    window: Window, candidate: CandidateRevision, readings: list[PodReading], now: dt.datetime
) -> Observation:
    """Start to count now.

    A bake compares with the incumbent's answers in the rollout's last window. If there was no window, it compares with
    all answers of the incumbent that the pods have counted.
    """
    last = parse_observation(candidate)
    before = _sum_incumbent(readings)
    if window.comparison is Comparison.LAST_WINDOW and last is not None:
        before = incumbent_window(last)
    return open_observation(
        window.step_index,
        window.metrics,
        readings,
        before,
        now,
        comparison=window.comparison,
        guard_alpha=window.rules.budget.guard_alpha,
        previous=last,
    )


def watch(
    window: Window, observation: Observation, readings: list[PodReading], existing_pods: set[str], now: dt.datetime
) -> tuple[Observation, Assessment]:
    """Add what was counted since the last reading, and assess the evidence."""
    grown = absorb(observation, readings, existing_pods)
    assessment = assess(grown, window.rules, now)
    if assessment.verdict is Verdict.PASS:
        assessment = dataclasses.replace(assessment, reasons=(*assessment.reasons, *window.not_judged))
    return grown, assessment


def parse_observation(candidate: CandidateRevision) -> Observation | None:
    """Return the evidence that is stored in the status."""
    return None if candidate.observation is None else Observation.from_wire(candidate.observation)


def _sum_incumbent(readings: Iterable[PodReading]) -> dict[str, PastWindow]:
    answers: dict[str, int] = {}
    bad: dict[str, int] = {}
    for reading in readings:
        for metric, counts in reading.incumbent.bad.items():
            judged = reading.incumbent.judged.get(metric, reading.incumbent.answers)
            answers[metric] = answers.get(metric, 0) + sum(judged)
            bad[metric] = bad.get(metric, 0) + sum(counts)
    return {metric: PastWindow(answers[metric], min(bad[metric], answers[metric])) for metric in answers}
