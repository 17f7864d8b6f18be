"""The verdict of a window's evidence on the candidate: Pass, Fail, Inconclusive, Error, or none yet.

`Fail`: there is evidence that the candidate breaks a guardrail; it is valid however often it is checked. `Pass`: there
are enough answers and no such evidence. This does not prove that the candidate is as good as the incumbent;
`detectable_drop` is the regression that would have been detected. `Inconclusive`: the time is over and there are too
few answers. `Error`: no ready pod can be read; the time does not count. There is no verdict while the requests are not
distributed as the weight asks.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Container, Mapping, Sequence

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.times import format_time
from tunewright_operator.domain.evidence.counters import ArmTotals
from tunewright_operator.domain.evidence.exposure import Concern, find_concerns
from tunewright_operator.domain.evidence.finding import Finding, judge
from tunewright_operator.domain.evidence.guard import ABANDONED, Comparison, Guard, LiveMetric, Test
from tunewright_operator.domain.evidence.observation import MAX_READING_GAP_SECONDS, Observation


@dataclasses.dataclass(frozen=True)
class ErrorBudget:
    """The probability of a false rollback, divided among all guards in all windows of a rollout, including the bake."""

    alpha: float
    guards: float
    windows: int

    @classmethod
    def share_out(cls, confidence: float, metrics: Sequence[LiveMetric], windows: int) -> ErrorBudget:
        """Return the budget of a rollout: `windows` is its number of observe steps plus 1 for a bake.

        Raises:
            ValueError: `confidence` is not between 0 and 1, or `windows` below 1.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"confidence {confidence} must be between 0 and 1, as in 0.95")
        if windows < 1:
            raise ValueError(f"windows {windows} must be at least 1: each observe step and the bake is one")
        guards = sum(metric.guards for metric in metrics)
        return cls(alpha=1 - confidence, guards=max(guards, 1), windows=windows)

    @property
    def guard_alpha(self) -> float:
        """The allowed probability of a false alarm of one guard in one window."""
        return self.alpha / (self.guards * self.windows)


@dataclasses.dataclass(frozen=True)
class ObservationSpec:
    """When a window is over.

    `full_window` is set for a bake: it passes only after `max_seconds`, however many answers there are before.
    """

    min_requests: int
    max_seconds: float
    budget: ErrorBudget
    full_window: bool = False


@dataclasses.dataclass(frozen=True)
class Assessment:
    """A window's verdict; None while it still gathers evidence. `reasons` explain it to a user.

    `concern`: why there is no verdict although the evidence or the time would be enough.
    """

    verdict: Verdict | None
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    concern: Concern | None = None

    @property
    def detectable_drop(self) -> float | None:
        """The smallest regression that every guard would detect with a probability of about 80 %.

        None if a guard cannot detect any.
        """
        drops = [finding.detectable_drop for finding in self.findings if finding.test is not Test.EVERY_ANSWER]
        known = [drop for drop in drops if drop is not None]
        return max(known) if known and len(known) == len(drops) else None


def assess(observation: Observation, spec: ObservationSpec, now: dt.datetime) -> Assessment:
    """Return the assessment of the evidence at `now`.

    A Fail is final: record it together with the observation, since later answers can make the evidence weaker again.
    """
    guards = [guard for guard in observation.guards if _is_counted(guard, observation)]
    findings = tuple(
        judge(guard, observation, guard_alpha=spec.budget.guard_alpha, required=spec.min_requests) for guard in guards
    )
    failed = [finding.describe() for finding in findings if finding.failed]
    if failed:
        return Assessment(Verdict.FAIL, tuple(failed), findings)
    if observation.seconds_unread(now) > MAX_READING_GAP_SECONDS:
        last = format_time(observation.read_at or observation.opened_at)
        reason = f"no ready server pod could be read since {last}, and this time does not count"
        counts = _describe_arms(observation)
        return Assessment(Verdict.ERROR, (f"{reason}; see status.pods of the ModelServer", *counts), findings)
    undistributed = _assess_when_distributed(observation, spec, findings)
    concerns = find_concerns(observation)
    reasons = (*concerns.values(), *undistributed.reasons)
    if concerns and undistributed.verdict is not None:
        return Assessment(None, reasons, findings, next(iter(concerns)))
    return dataclasses.replace(undistributed, reasons=reasons)


def _is_counted(guard: Guard, observation: Observation) -> bool:
    """Return whether the pods count a guard's metric: servers of an earlier release count no abandoned requests."""
    arms = observation.arms
    return guard.metric != ABANDONED or ABANDONED in arms.candidate.tallies.keys() | arms.incumbent.tallies.keys()


def _assess_when_distributed(
    observation: Observation, spec: ObservationSpec, findings: tuple[Finding, ...]
) -> Assessment:
    """Return Pass, Inconclusive or no verdict, from the numbers of answers and the observed time."""
    seconds = observation.watched_seconds
    over = seconds >= spec.max_seconds
    # A bake without traffic ends when its time is over. With traffic, at least one answer must be judged.
    required = 1 if spec.full_window and observation.arms.candidate.answers else spec.min_requests
    missing = _missing_answers(observation, findings, required)
    if not missing and (over or not spec.full_window):
        nothing = ", ".join([*_describe_arms(observation), "no live metric applies"])
        reasons = tuple(finding.describe() for finding in findings) or (nothing,)
        return Assessment(Verdict.PASS, reasons, findings)
    texts = [text for name in missing for text in missing[name]]
    texts += _describe_arms(observation, without=missing)
    if over:
        return Assessment(Verdict.INCONCLUSIVE, tuple(f"{text} after {seconds:.0f} s" for text in texts), findings)
    if not missing:
        texts = [f"watched for {seconds:.0f} of {spec.max_seconds:.0f} s", *texts]
    return Assessment(None, tuple(texts), findings)


def _missing_answers(
    observation: Observation, findings: Sequence[Finding], required: int
) -> Mapping[str, Sequence[str]]:
    """Return the texts about each arm with fewer answers than required, or with fewer that a metric could judge.

    Abandoned requests are not answers: no number of them is required.
    """
    metrics = sorted({finding.metric for finding in findings} - {ABANDONED})
    missing: dict[str, Sequence[str]] = {}
    for name, arm in _list_arms(observation).items():
        if arm.answers < required:
            missing[name] = [f"the {name} has {arm.answers} of {required} answers{_describe_abandoned(arm)}"]
            continue
        judged = {metric: arm.tally(metric).totals[0] for metric in metrics}
        texts = [
            f"the {name} has {count} of {required} answers judged by {metric}"
            for metric, count in judged.items()
            if count < required
        ]
        if texts:
            missing[name] = texts
    return missing


def _list_arms(observation: Observation) -> dict[str, ArmTotals]:
    """Return the arms that get requests in the window."""
    arms = {"candidate": observation.arms.candidate}
    if observation.comparison is Comparison.INCUMBENT:
        arms["incumbent"] = observation.arms.incumbent
    return arms


def _describe_arms(observation: Observation, without: Container[str] = ()) -> list[str]:
    """Return the numbers of answers of both arms, apart from those that another text already names."""
    texts = [
        f"the {name} has {arm.answers} answers{_describe_abandoned(arm)}"
        for name, arm in _list_arms(observation).items()
        if name not in without
    ]
    if observation.comparison is Comparison.LAST_WINDOW:
        known = max((guard.past[0] for guard in observation.guards if guard.past is not None), default=0)
        texts.append(f"the incumbent's past has {known} answers")
    return texts


def _describe_abandoned(arm: ArmTotals) -> str:
    _, abandoned = arm.tally(ABANDONED).totals
    return f" and {abandoned} abandoned requests" if abandoned else ""
