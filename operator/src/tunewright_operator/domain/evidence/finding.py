"""The evidence of one guard: what the candidate is compared with, and how strongly the counts contradict the limit."""

from __future__ import annotations

import dataclasses
import math

from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.guard import (
    ABANDONED,
    EVERY_ANSWER_LIMIT,
    FAILURES,
    RESTARTS,
    Comparison,
    Guard,
    Test,
)
from tunewright_operator.domain.evidence.observation import Observation

FIRST_BET_WEIGHT = 0.5
"""The share of a restarting guard's wealth for the bet from the start; the later bets divide the rest equally."""
MAX_SHOWN_E_VALUE = 1_000_000
"""A larger e-value is shown as "over" this one."""
EXPECTED_WHEN_STOPPED = 20
"""If, by the weight, so many answers of the incumbent should have come since its last block, it gets no requests."""
CONTRADICTION = 10.0
"""The e-value against the incumbent's past at which it does not describe the incumbent any more."""


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


def judge(guard: Guard, observation: Observation, *, guard_alpha: float, required: int) -> Finding:
    """Return the evidence of a guard, whose error budget is `guard_alpha`.

    While the incumbent has fewer than `required` answers in the window, the candidate is held to the incumbent's past.
    A candidate that fails every answer is rolled back, whatever the incumbent does.
    """
    if guard.test is not Test.INCUMBENT:
        return _judge_against_limit(guard, observation, guard_alpha)
    finding = _judge_against_incumbent(guard, observation, guard_alpha)
    if guard.fallback is None or finding.failed:
        return finding
    if _is_blind(guard, guard.fallback, observation, required):
        return _judge_against_limit(guard.fallback, observation, guard_alpha)
    if guard.metric == FAILURES and _is_every_answer_bad(finding.candidate):
        every = guard.fallback.updated(test=Test.EVERY_ANSWER, limit=EVERY_ANSWER_LIMIT, base=None)
        alone = _judge_against_limit(every, observation, guard_alpha)
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


def _judge_against_incumbent(guard: Guard, observation: Observation, guard_alpha: float) -> Finding:
    candidate_tally = observation.arms.candidate.tally(guard.metric)
    incumbent_tally = observation.arms.incumbent.tally(guard.metric)
    candidate, incumbent = candidate_tally.totals, incumbent_tally.totals
    effect = betting.design_effect(
        (candidate_tally.judged, candidate_tally.bad), (incumbent_tally.judged, incumbent_tally.bad)
    )
    alpha = guard_alpha * guard.share
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


def _judge_against_limit(guard: Guard, observation: Observation, guard_alpha: float) -> Finding:
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
    alpha = guard_alpha * guard.share
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


def _format_evidence(e_value: float) -> str:
    """Return an e-value with three digits and without an exponent, which is enough to compare it with the threshold."""
    if e_value >= MAX_SHOWN_E_VALUE:
        return f"over {MAX_SHOWN_E_VALUE:,}"
    return f"{float(f'{e_value:.3g}'):,.0f}" if e_value >= 1000 else f"{e_value:.3g}"


def _format_rate(counts: tuple[int, int] | None) -> str:
    judged, bad = counts or (0, 0)
    share = f" ({100 * bad / judged:.3g} %)" if judged else ""
    return f"{bad}/{judged}{share}"
