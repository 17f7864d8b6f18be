"""The live windows of a rollout: their rules from the spec, and their evidence from the pods' counters."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import LATENCY_BOUNDS_MILLISECONDS, PodState, RevisionCounters
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentSpec,
    Analysis,
    CandidateRevision,
    Guardrail,
    ObservedRequests,
    RequestCounts,
)
from tunewright_operator.domain.evidence.counters import NO_ANSWERS, ArmCounters, ArmTotals, EvidenceError, PodReading
from tunewright_operator.domain.evidence.exposure import view_exposure
from tunewright_operator.domain.evidence.guard import (
    ABANDONED,
    LATENCY_MAX_REGRESSION,
    MAX_REGRESSION,
    Comparison,
    LiveMetric,
    PastWindow,
)
from tunewright_operator.domain.evidence.latency import MIN_ANSWERS_FOR_P95
from tunewright_operator.domain.evidence.observation import (
    Observation,
    add_counts,
    bet,
    count_time,
    incumbent_until,
    incumbent_window,
    is_bet_due,
    open_observation,
)
from tunewright_operator.domain.evidence.verdict import Assessment, ErrorBudget, ObservationSpec, assess

ABANDONED_BUDGET = 0.25
"""The error budget for abandoned requests, in budgets of a guard: the rest is for the metrics that the spec names."""
ABANDONED_MAX_REGRESSION = 0.05
"""The allowed increase of the share of abandoned requests if ErrorRate has only a `minimum`."""
MIN_PAST_ANSWERS = 100
"""The fewest answers in the last window with which a bake compares, instead of with a longer past."""


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
    metrics = (*metrics, _watch_abandoned(spec.analysis, has_incumbent=has_incumbent))
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


def _watch_abandoned(analysis: Analysis, *, has_incumbent: bool) -> LiveMetric:
    """Return how abandoned requests are judged: like errors, of which the client does not wait for the end.

    They are counted in every window, and judged if the spec has ErrorRate: a candidate whose answers never end would
    otherwise have few errors.
    """
    errors = next((each for each in analysis.metrics if each.type is LiveMetricType.ERROR_RATE), None)
    if errors is None or not has_incumbent:
        return LiveMetric(ABANDONED)
    rise = ABANDONED_MAX_REGRESSION if errors.max_regression is None else float(errors.max_regression)
    return LiveMetric(ABANDONED, max_regression=min(rise, MAX_REGRESSION), budget=ABANDONED_BUDGET)


def read_pods(
    states: Iterable[PodState], alias: str, candidate: str, incumbent: str | None, slow_after: int | None = None
) -> list[PodReading]:
    """Return the counters of both arms. A pod with unusable counters is treated like a pod that did not answer.

    This includes a pod whose current plan does not ask for buckets: its counters would be read as zero, and the next
    reading would then add everything that it has ever counted. `slow_after` is the latency limit in milliseconds.
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
                    candidate=_read_arm(counters.get(candidate), slow_after),
                    incumbent=_read_arm(counters.get(incumbent) if incumbent else None, slow_after),
                )
            )
        except EvidenceError:
            continue
    return readings


def _has_no_buckets(counters: RevisionCounters) -> bool:
    counted = counters.answers > 0 or counters.requests > 0
    by_bucket = counters.answers_by_bucket or counters.unchecked_by_bucket or counters.requests_by_bucket
    return counted and not by_bucket


def _read_arm(counters: RevisionCounters | None, slow_after: int | None) -> ArmCounters:
    if counters is None:
        return ArmCounters()
    since_boot = _sum_since_boot(counters, slow_after)
    if not counters.answers_by_bucket and not counters.requests_by_bucket:
        return ArmCounters(since_boot=since_boot)
    answers = counters.answers_by_bucket or NO_ANSWERS
    # A server lists a metric only after its first bad answer; until then all answers are good.
    bad = {metric.value: counters.bad_by_bucket.get(metric.value) or NO_ANSWERS for metric in LiveMetricType}
    unchecked = counters.unchecked_by_bucket or NO_ANSWERS
    pairs = zip(answers, unchecked, strict=False)  # ArmCounters refuses an array of another length.
    # An answer whose contract could not be checked in time is neither good nor bad.
    judged = {LiveMetricType.OUTPUT_CONTRACT.value: tuple(count - skipped for count, skipped in pairs)}
    if counters.requests_by_bucket:  # A server of the version before counts no requests.
        bad[ABANDONED] = counters.abandoned_by_bucket or NO_ANSWERS
        judged[ABANDONED] = counters.requests_by_bucket
    requests = counters.requests_by_bucket or None
    return ArmCounters(answers=answers, bad=bad, judged=judged, requests=requests, since_boot=since_boot)


def _sum_since_boot(counters: RevisionCounters, slow_after: int | None) -> dict[str, tuple[int, int]]:
    """Return judged and bad answers by metric since the server's start, also before the rollout.

    Before it, no bucket and no slow answer was counted, so the histogram of latencies is used for Latency. A bucket of
    the histogram that contains the limit counts as slow: the incumbent must not seem better than it is.
    """
    answers, bad = counters.answers, counters.bad
    sums = {
        LiveMetricType.ERROR_RATE.value: (answers, bad.get(LiveMetricType.ERROR_RATE.value, 0)),
        LiveMetricType.OUTPUT_CONTRACT.value: (
            answers - counters.unchecked,
            bad.get(LiveMetricType.OUTPUT_CONTRACT.value, 0),
        ),
        ABANDONED: (counters.requests, counters.abandoned),
    }
    if slow_after is not None:
        fast = sum(
            count
            for bound, count in zip(LATENCY_BOUNDS_MILLISECONDS, counters.latency_milliseconds, strict=False)
            if bound <= slow_after
        )
        total = sum(counters.latency_milliseconds)
        sums[LiveMetricType.LATENCY.value] = (total, total - fast)
    return sums


def open_window(
    window: Window,
    last: Observation | None,
    readings: list[PodReading],
    now: dt.datetime,
    *,
    weight: int | None = None,
    read_at: dt.datetime | None = None,
) -> Observation:
    """Start to count now.

    `last` is the evidence of the window before this one, if there was one.
    `weight` is the candidate's weight in percent, `read_at` the time at which a ready pod was read (None: none was).
    """
    opened = open_observation(
        window.step_index,
        window.metrics,
        readings,
        _find_past(window.comparison, last, readings),
        now,
        comparison=window.comparison,
        weight=weight,
        guard_alpha=window.rules.budget.guard_alpha,
        previous=last,
    )
    return count_time(opened, read_at)


def watch(
    window: Window,
    observation: Observation,
    readings: list[PodReading],
    existing_pods: set[str],
    now: dt.datetime,
    *,
    read_at: dt.datetime | None = None,
) -> tuple[Observation, Assessment]:
    """Add what was counted since the last reading, and assess the evidence. No guard bets on what was added."""
    grown = count_time(add_counts(observation, readings, existing_pods), read_at)
    return grown, _assess(window, grown, now)


def is_due(window: Window, observation: Observation, now: dt.datetime) -> bool:
    """Return whether the guards bet now and the evidence is recorded, whatever the verdict is."""
    return is_bet_due(observation, now, is_over=observation.watched_seconds >= window.rules.max_seconds)


def let_guards_bet(window: Window, observation: Observation, now: dt.datetime) -> tuple[Observation, Assessment]:
    """Let the guards bet on what was added since their last bet, and assess the evidence. It must then be recorded."""
    after = bet(observation, now)
    return after, _assess(window, after, now)


def _assess(window: Window, observation: Observation, now: dt.datetime) -> Assessment:
    assessment = assess(observation, window.rules, now)
    if assessment.verdict is not Verdict.PASS:
        return assessment
    return dataclasses.replace(assessment, reasons=(*assessment.reasons, *window.not_judged))


def parse_observation(candidate: CandidateRevision) -> Observation | None:
    """Return the evidence that is stored in the status."""
    return None if candidate.observation is None else Observation.from_wire(candidate.observation)


def count_requests(observation: Observation) -> ObservedRequests:
    """Return both arms' numbers in a window, for the status."""
    return ObservedRequests(
        candidate=_count_arm(observation.arms.candidate), stable=_count_arm(observation.arms.incumbent)
    )


def format_share(observation: Observation) -> str | None:
    """Return the candidate's share of a window's requests in percent; None if it does not compare two arms."""
    exposure = view_exposure(observation)
    return None if exposure is None or exposure.share is None else f"{100 * exposure.share:.1f}"


def _count_arm(arm: ArmTotals) -> RequestCounts:
    _, abandoned = arm.tally(ABANDONED).totals
    return RequestCounts(requests=sum(arm.requests), answers=arm.answers, abandoned=abandoned)


def _find_past(
    comparison: Comparison, last: Observation | None, readings: list[PodReading]
) -> Mapping[str, PastWindow]:
    """Return the incumbent's answers before a window by metric.

    A bake compares with the rollout's last window. If that had too few answers, and in a step, it is the past with
    the most answers: all that the pods have counted since they started, or all until the end of the last window.
    """
    counted = _sum_incumbent(readings)
    if last is None:
        return counted
    recent, until = incumbent_window(last), incumbent_until(last)
    found: dict[str, PastWindow] = {}
    for metric in counted.keys() | recent.keys() | until.keys():
        window = recent.get(metric, PastWindow())
        if comparison is Comparison.LAST_WINDOW and window.answers >= MIN_PAST_ANSWERS:
            found[metric] = window
            continue
        longer = [past for past in (counted.get(metric), until.get(metric)) if past is not None]
        found[metric] = max([window, *longer], key=lambda past: past.answers)
    return found


def _sum_incumbent(readings: Iterable[PodReading]) -> dict[str, PastWindow]:
    """Return what the pods have counted of the incumbent since they started, by metric."""
    sums: dict[str, tuple[int, int]] = {}
    for reading in readings:
        arm = reading.incumbent
        for metric in arm.bad.keys() | arm.since_boot.keys():
            by_bucket = (sum(arm.judged.get(metric, arm.answers)), sum(arm.bad.get(metric, ())))
            answers, bad = max(by_bucket, arm.since_boot.get(metric, (0, 0)))
            before = sums.get(metric, (0, 0))
            sums[metric] = (before[0] + answers, before[1] + bad)
    return {metric: PastWindow(answers, min(bad, answers)) for metric, (answers, bad) in sums.items()}
