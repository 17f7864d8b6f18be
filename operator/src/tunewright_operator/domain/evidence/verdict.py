"""The verdict of a window's evidence on the candidate: Pass, Fail, Inconclusive, Error, or none yet.

`Fail`: there is evidence that the candidate breaks a guardrail; it is valid however often it is checked. `Pass`: there
are enough answers and no such evidence. This does not prove that the candidate is as good as the incumbent;
`detectable_drop` is the regression that would have been detected. `Inconclusive`: the time is over and there are too
few answers. `Error`: no pod could be read.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Sequence

from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.observation import RESTARTS, Comparison, Guard, LiveMetric, Observation, Test

FIRST_BET_WEIGHT = 0.5
"""The share of a restarting guard's wealth for the bet from the start; the later bets divide the rest equally."""
MAX_SHOWN_E_VALUE = 1_000_000
"""A larger e-value is shown as "over" this one."""


@dataclasses.dataclass(frozen=True)
class ErrorBudget:
    """The probability of a false rollback, divided among all guards in all windows of a rollout, including the bake."""

    alpha: float
    guards: int
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
        guards = sum((metric.max_regression is not None) + (metric.minimum is not None) for metric in metrics)
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
class Finding:
    """The evidence of one guard. Rates are shares of bad answers; `base` is None without answers."""

    metric: str
    test: Test
    candidate: tuple[int, int]
    """Judged and bad answers."""
    incumbent: tuple[int, int] | None
    log_e_value: float
    log_threshold: float
    limit: float
    base: float | None
    detectable_drop: float | None
    """The increase over `base` (the incumbent's rate, or the absolute limit) that would be detected with a probability
    of about 80 %.
    """
    design_effect: float

    @property
    def failed(self) -> bool:
        """Return whether the evidence reached the threshold."""
        return self.log_e_value >= self.log_threshold

    @property
    def e_value(self) -> float:
        """The evidence that the guardrail is broken; 1 means none."""
        return math.exp(min(self.log_e_value, 700.0))

    def describe(self) -> str:
        """Return the counts, the limit and the evidence in one line; the candidate fails if e-value ≥ threshold."""
        percent = f"{100 * self.limit:.3g}"
        points = "1 point" if percent == "1" else f"{percent} points"
        limit = {
            Test.INCUMBENT: f"incumbent {_format_rate(self.incumbent)}, allowed increase: {points}",
            Test.LAST_WINDOW: f"allowed after the incumbent's last window: {percent} %",
            Test.MINIMUM: f"allowed: {percent} %",
        }[self.test]
        compared = "≥" if self.failed else "<"
        return (
            f"{self.metric}: bad answers {_format_rate(self.candidate)}, {limit},"
            f" e-value {_format_evidence(self.e_value)} {compared} {math.exp(self.log_threshold):.0f}"
        )


@dataclasses.dataclass(frozen=True)
class Assessment:
    """A window's verdict; None while it still gathers evidence. `reasons` explain it to a user."""

    verdict: Verdict | None
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def detectable_drop(self) -> float | None:
        """The smallest regression that every guard would detect with a probability of about 80 %.

        None if a guard cannot detect any.
        """
        drops = [finding.detectable_drop for finding in self.findings]
        known = [drop for drop in drops if drop is not None]
        return max(known) if known and len(known) == len(drops) else None


def assess(observation: Observation, spec: ObservationSpec, now: dt.datetime) -> Assessment:
    """Return the assessment of the evidence at `now`.

    A Fail is final: record it together with the observation, since later answers can make the evidence weaker again.
    """
    findings = tuple(_judge(guard, observation, spec.budget) for guard in observation.guards)
    failed = [finding.describe() for finding in findings if finding.failed]
    if failed:
        return Assessment(Verdict.FAIL, tuple(failed), findings)
    seconds = (now - observation.opened_at).total_seconds()
    over = seconds >= spec.max_seconds
    if over and observation.polls == 0:
        reason = f"no server pod could be read in {seconds:.0f} s, see status.pods of the ModelServer"
        return Assessment(Verdict.ERROR, (reason,), findings)
    # A bake without traffic ends when its time is over. With traffic, at least one answer must be judged.
    required = 1 if spec.full_window and observation.arms.candidate.answers else spec.min_requests
    missing = _missing_answers(observation, findings, required)
    if not missing and (over or not spec.full_window):
        reasons = tuple(finding.describe() for finding in findings) or (
            f"the candidate has {observation.arms.candidate.answers} answers, no live metric applies",
        )
        return Assessment(Verdict.PASS, reasons, findings)
    if over:
        return Assessment(Verdict.INCONCLUSIVE, tuple(f"{text} after {seconds:.0f} s" for text in missing), findings)
    if not missing:
        missing = [f"watched for {seconds:.0f} of {spec.max_seconds:.0f} s"]
    return Assessment(None, tuple(missing), findings)


def _judge(guard: Guard, observation: Observation, budget: ErrorBudget) -> Finding:
    candidate_tally = observation.arms.candidate.tally(guard.metric)
    incumbent_tally = observation.arms.incumbent.tally(guard.metric)
    candidate, incumbent = candidate_tally.totals, incumbent_tally.totals
    relative = guard.test is Test.INCUMBENT
    effect = betting.design_effect(
        (candidate_tally.judged, candidate_tally.bad),
        (incumbent_tally.judged, incumbent_tally.bad) if relative else None,
    )
    alpha = budget.guard_alpha * guard.share
    if relative:
        evidence = betting.log_e_value(guard.log_wealth, effect)
        base: float | None = betting.guess_rate(incumbent[0] + guard.before[0], incumbent[1] + guard.before[1])
    else:
        evidence = _log_absolute_evidence(guard, candidate, effect)
        base = guard.base
    drop = None
    if base is not None and guard.limit < 1:
        drop = betting.detectable_rise(
            base,
            guard.limit if relative else guard.limit - base,
            candidate=candidate[0],
            incumbent=incumbent[0] if relative else None,
            effect=effect,
            alpha=alpha,
        )
    return Finding(
        metric=guard.metric,
        test=guard.test,
        candidate=candidate,
        incumbent=incumbent if relative else None,
        log_e_value=evidence,
        log_threshold=-math.log(alpha),
        limit=guard.limit,
        base=base,
        detectable_drop=drop,
        design_effect=effect,
    )


def _log_absolute_evidence(guard: Guard, candidate: tuple[int, int], effect: float) -> float:
    """Return the log e-value against a fixed limit: of one bet, or the weighted mean of bets with different starts."""
    judged, bad = candidate
    first = betting.log_e_value(betting.log_absolute_wealth(guard.limit, judged, bad), effect)
    if not guard.restarting:
        return first
    values = [first]
    for mark in guard.marks:
        wealth = betting.log_absolute_wealth(guard.limit, judged - mark.judged, bad - mark.bad)
        values.append(betting.log_e_value(wealth, effect))
    values += [0.0] * (len(RESTARTS) - len(guard.marks))  # The wealth of a bet that has not started is 1.
    later = (1 - FIRST_BET_WEIGHT) / len(RESTARTS)
    return betting.log_mean_exp(values, [FIRST_BET_WEIGHT] + [later] * len(RESTARTS))


def _missing_answers(observation: Observation, findings: Sequence[Finding], required: int) -> list[str]:
    """Return a text for each arm and metric with fewer judged answers than required."""
    arms = {"candidate": observation.arms.candidate}
    if observation.comparison is Comparison.INCUMBENT:
        arms["incumbent"] = observation.arms.incumbent
    missing: list[str] = []
    for name, arm in arms.items():
        if arm.answers < required:
            missing.append(f"the {name} has {arm.answers} of {required} answers")
            continue
        for metric in sorted({finding.metric for finding in findings}):
            judged, _ = arm.tally(metric).totals
            if judged < required:
                missing.append(f"the {name} has {judged} of {required} answers judged by {metric}")
    return missing


def _format_evidence(e_value: float) -> str:
    """Return an e-value with three digits and without an exponent, which is enough to compare it with the threshold."""
    if e_value >= MAX_SHOWN_E_VALUE:
        return f"over {MAX_SHOWN_E_VALUE:,}"
    return f"{float(f'{e_value:.3g}'):,.0f}" if e_value >= 1000 else f"{e_value:.3g}"


def _format_rate(counts: tuple[int, int] | None) -> str:
    judged, bad = counts or (0, 0)
    share = f" ({100 * bad / judged:.3g} %)" if judged else ""
    return f"{bad}/{judged}{share}"
