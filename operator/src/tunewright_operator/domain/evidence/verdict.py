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
import math
from collections.abc import Container, Mapping, Sequence

from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import ArmTotals
from tunewright_operator.domain.evidence.exposure import Concern, find_concerns
from tunewright_operator.domain.evidence.observation import (
    ABANDONED,
    EVERY_ANSWER_LIMIT,
    FAILURES,
    MAX_READING_GAP_SECONDS,
    RESTARTS,
    Comparison,
    Guard,
    LiveMetric,
    Observation,
    Test,
)

FIRST_BET_WEIGHT = 0.5
"""The share of a restarting guard's wealth for the bet from the start; the later bets divide the rest equally."""
MAX_SHOWN_E_VALUE = 1_000_000
"""A larger e-value is shown as "over" this one."""
EXPECTED_WHEN_STOPPED = 20
"""If, by the weight, so many answers of the incumbent should have come since its last block, it gets no requests."""
CONTRADICTION = 10.0
"""The e-value against the incumbent's past at which it does not describe the incumbent any more."""


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
class Finding:
    """The evidence of one guard. Rates are shares of bad answers; `base` is None without answers."""

    metric: str
    test: Test
    candidate: tuple[int, int]
    """Judged and bad answers."""
    incumbent: tuple[int, int] | None
    """The same of the incumbent, in this window; None if the rollout has no incumbent."""
    log_e_value: float
    log_threshold: float
    limit: float
    base: float | None
    detectable_drop: float | None
    """The increase over `base` (the incumbent's rate, or the absolute limit) that would be detected with a probability
    of about 80 %.
    """
    design_effect: float
    past: tuple[int, int] | None = None
    """Judged and bad answers of the incumbent before the window, if `limit` was derived from them."""

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
        compared = "≥" if self.failed else "<"
        counted = "abandoned requests" if self.metric == ABANDONED else "bad answers"
        incumbent = "" if self.incumbent is None else f"incumbent {_format_rate(self.incumbent)}, "
        return (
            f"{self.metric}: {counted} {_format_rate(self.candidate)}, {incumbent}{self._describe_limit()},"
            f" e-value {_format_evidence(self.e_value)} {compared} {math.exp(self.log_threshold):.0f}"
        )

    def _describe_limit(self) -> str:
        percent = f"{100 * self.limit:.3g}"
        match self.test:
            case Test.INCUMBENT:
                return f"allowed increase: {'1 point' if percent == '1' else f'{percent} points'}"
            case Test.LAST_WINDOW if self.limit >= 1:
                return f"nothing is known of the incumbent's past ({_format_rate(self.past)})"
            case Test.LAST_WINDOW:
                return f"allowed after the incumbent's past of {_format_rate(self.past)}: {percent} %"
            case Test.MINIMUM:
                return f"allowed: {percent} %"
            case Test.EVERY_ANSWER:
                return "allowed: not every answer"


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
    findings = tuple(_judge(guard, observation, spec) for guard in guards)
    failed = [finding.describe() for finding in findings if finding.failed]
    if failed:
        return Assessment(Verdict.FAIL, tuple(failed), findings)
    unread = observation.seconds_unread(now)
    if unread > MAX_READING_GAP_SECONDS:
        reason = f"no ready server pod could be read for {unread:.0f} s, and this time does not count"
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


def _judge(guard: Guard, observation: Observation, spec: ObservationSpec) -> Finding:
    """Return the evidence of a guard.

    While the incumbent has too few answers in the window, the candidate is held to the incumbent's past. A candidate
    that fails every answer is rolled back, whatever the incumbent does.
    """
    if guard.test is not Test.INCUMBENT:
        return _judge_against_limit(guard, observation, spec.budget)
    finding = _judge_against_incumbent(guard, observation, spec.budget)
    if guard.fallback is None or finding.failed:
        return finding
    if _is_blind(guard, guard.fallback, observation, spec.min_requests):
        return _judge_against_limit(guard.fallback, observation, spec.budget)
    if guard.metric == FAILURES and _is_every_answer_bad(finding.candidate):
        every = guard.fallback.updated(test=Test.EVERY_ANSWER, limit=EVERY_ANSWER_LIMIT, base=None)
        alone = _judge_against_limit(every, observation, spec.budget)
        return alone if alone.failed else finding
    return finding


def _is_blind(guard: Guard, fallback: Guard, observation: Observation, required: int) -> bool:
    """Return whether the incumbent's answers in the window are too few to compare with.

    They are too few in the whole window, or none came recently. If they show that the incumbent is worse than in its
    past, for example because both arms have an outage, the past is no basis for a comparison.
    """
    answers, bad = observation.arms.incumbent.tally(guard.metric).totals
    judged, _ = observation.arms.candidate.tally(guard.metric).totals
    weight = observation.weight or 50
    expected = (judged - guard.closed[0]) * (100 - weight) / weight
    stopped = expected >= EXPECTED_WHEN_STOPPED and answers - guard.closed[2] < betting.MIN_BLOCK
    if answers >= required and not stopped:
        return False
    wealth = betting.log_absolute_wealth(fallback.limit, answers, bad)
    return betting.log_e_value(wealth, 1.0) < math.log(CONTRADICTION)


def _judge_against_incumbent(guard: Guard, observation: Observation, budget: ErrorBudget) -> Finding:
    candidate_tally = observation.arms.candidate.tally(guard.metric)
    incumbent_tally = observation.arms.incumbent.tally(guard.metric)
    candidate, incumbent = candidate_tally.totals, incumbent_tally.totals
    effect = betting.design_effect(
        (candidate_tally.judged, candidate_tally.bad), (incumbent_tally.judged, incumbent_tally.bad)
    )
    alpha = budget.guard_alpha * guard.share
    base = betting.guess_rate(incumbent[0] + guard.before[0], incumbent[1] + guard.before[1])
    return Finding(
        metric=guard.metric,
        test=guard.test,
        candidate=candidate,
        incumbent=incumbent,
        log_e_value=betting.log_e_value(guard.log_wealth, effect),
        log_threshold=-math.log(alpha),
        limit=guard.limit,
        base=base,
        detectable_drop=betting.detectable_rise(
            base, guard.limit, candidate=candidate[0], incumbent=incumbent[0], effect=effect, alpha=alpha
        ),
        design_effect=effect,
    )


def _judge_against_limit(guard: Guard, observation: Observation, budget: ErrorBudget) -> Finding:
    tally = observation.arms.candidate.tally(guard.metric)
    candidate = tally.totals
    effect = betting.design_effect((tally.judged, tally.bad))
    test, limit = guard.test, guard.limit
    unknown = guard.past is not None and guard.past[0] == 0
    if (guard.metric == FAILURES or unknown) and test is not Test.MINIMUM and _is_every_answer_bad(candidate):
        # One client can cause it, but then no client gets an answer: the buckets do not matter.
        effect = betting.PRIOR_VARIANCE_RATIO
        if limit > EVERY_ANSWER_LIMIT:
            test, limit = Test.EVERY_ANSWER, EVERY_ANSWER_LIMIT
    alpha = budget.guard_alpha * guard.share
    drop = None
    if guard.base is not None and limit < 1:
        drop = betting.detectable_rise(
            guard.base, limit - guard.base, candidate=candidate[0], incumbent=None, effect=effect, alpha=alpha
        )
    incumbent = observation.arms.incumbent.tally(guard.metric).totals
    if test is Test.EVERY_ANSWER:
        evidence = betting.log_run_wealth(limit, candidate[0]) / effect if _is_every_answer_bad(candidate) else 0.0
    else:
        evidence = _log_absolute_evidence(guard, limit, candidate, effect)
    return Finding(
        metric=guard.metric,
        test=test,
        candidate=candidate,
        incumbent=None if observation.comparison is Comparison.NONE else incumbent,
        log_e_value=evidence,
        log_threshold=-math.log(alpha),
        limit=limit,
        base=guard.base,
        detectable_drop=drop,
        design_effect=effect,
        past=guard.past,
    )


def _is_every_answer_bad(counts: tuple[int, int]) -> bool:
    judged, bad = counts
    return bad >= judged > 0


def _log_absolute_evidence(guard: Guard, limit: float, candidate: tuple[int, int], effect: float) -> float:
    """Return the log e-value against a fixed limit: of one bet, or the weighted mean of bets with different starts."""
    judged, bad = candidate
    first = betting.log_e_value(betting.log_absolute_wealth(limit, judged, bad), effect)
    if not guard.restarting:
        return first
    values = [first]
    for mark in guard.marks:
        wealth = betting.log_absolute_wealth(limit, judged - mark.judged, bad - mark.bad)
        values.append(betting.log_e_value(wealth, effect))
    values += [0.0] * (len(RESTARTS) - len(guard.marks))  # The wealth of a bet that has not started is 1.
    later = (1 - FIRST_BET_WEIGHT) / len(RESTARTS)
    return betting.log_mean_exp(values, [FIRST_BET_WEIGHT] + [later] * len(RESTARTS))


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


def _format_evidence(e_value: float) -> str:
    """Return an e-value with three digits and without an exponent, which is enough to compare it with the threshold."""
    if e_value >= MAX_SHOWN_E_VALUE:
        return f"over {MAX_SHOWN_E_VALUE:,}"
    return f"{float(f'{e_value:.3g}'):,.0f}" if e_value >= 1000 else f"{e_value:.3g}"


def _format_rate(counts: tuple[int, int] | None) -> str:
    judged, bad = counts or (0, 0)
    share = f" ({100 * bad / judged:.3g} %)" if judged else ""
    return f"{bad}/{judged}{share}"
