"""Sequential tests by betting: the arithmetic behind the live guardrails.

A test starts with a wealth of 1 and bets on "the candidate is worse than allowed". Under the null hypothesis no bet has
a positive expectation, so that the chance that wealth ever reaches 1/alpha is at most alpha (Ville 1939), however often
one looks. Rates are rates of bad answers in [0, 1]; wealth is kept as natural logarithms. Everything here is a pure
function of counts.

Sources: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Turner, Ly and
Grünwald 2024, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping"; Rao and Scott
1992, "A simple method for the analysis of clustered binary data".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAPS = (0.02, 0.04, 0.08, 0.16, 0.32)
"""Excess rates that the candidate is suspected of, equally weighted: one bet is placed for each."""

NO_WEALTH_CHANGE = (0.0,) * len(GAPS)

RATE_FLOOR = 0.001
"""The lowest rate that is bet against: below it one bad answer alone would decide."""

MAX_STAKE = 0.9
"""The share of its wealth that a bet may lose on one answer: no bet is ever ruined."""

MIN_BLOCK = 5
"""Fewest answers of each arm in a block: a block of one arm alone cannot compare."""

MIN_ARM_FOR_DESIGN_EFFECT = 64
MIN_BAD_FOR_OWN_DESIGN_EFFECT = 10
PRIOR_VARIANCE_RATIO = 4.0
PRIOR_WEIGHT = 10.0
"""Until the buckets show how far requests depend on each other, they count as a quarter of independent ones."""

POWER_QUANTILE = 0.84
"""The normal quantile of an 80 % chance."""

MAX_RATE = 0.999


class Block(NamedTuple):
    """Count the answers of both arms since the last closed block."""

    candidate: int
    candidate_bad: int
    incumbent: int
    incumbent_bad: int

    @property
    def closable(self) -> bool:
        """Return whether both arms have enough answers;
        bad ones that await their answer (a late check) hold it open.
        """
        enough = self.candidate >= MIN_BLOCK and self.incumbent >= MIN_BLOCK
        return enough and self.candidate_bad <= self.candidate and self.incumbent_bad <= self.incumbent


def guess_rate(answers: int, bad: int) -> float:
    """Return the incumbent's rate as guessed from the answers before a block; it steers a bet and never decides its
    validity.
    """
    return min(max((bad + 0.5) / (answers + 10), 0.002), 0.9)


def log_relative_factor(gap: float, max_regression: float, guess: float, block: Block) -> float:
    """Return the log of the factor by which one block multiplies the wealth of the bet on `gap`.

    The stakes balance (candidate's stake times its answers equals the incumbent's), so that for independent answers the
    factor's expectation is at most 1 whenever the candidate's rate is at most the incumbent's plus `max_regression`,
    for any `guess` fixed before the block and without knowing the traffic split.
    """
    share = block.candidate / (block.candidate + block.incumbent)
    rate = min(max(guess + share * gap, RATE_FLOOR), 0.97 - max_regression)
    limit = rate + max_regression
    stake = gap / (limit * (1 - limit))
    worst_loss = max((1 - share) * limit, share * (1 - rate))
    stake = min(stake, MAX_STAKE / worst_loss)
    on_candidate, on_incumbent = (1 - share) * stake, share * stake
    return (
        block.candidate_bad * math.log1p(on_candidate * (1 - limit))
        + (block.candidate - block.candidate_bad) * math.log1p(-on_candidate * limit)
        + block.incumbent_bad * math.log1p(-on_incumbent * (1 - rate))
        + (block.incumbent - block.incumbent_bad) * math.log1p(on_incumbent * rate)
    )


def log_absolute_wealth(limit: float, answers: int, bad: int) -> tuple[float, ...]:
    """Return the log wealth of each bet that the rate is over a fixed `limit`, after `answers` with `bad` ones.

    The stakes never change, hence the counts alone decide and no history is kept. A limit of 1 or more cannot be
    broken.
    """
    if limit >= 1:
        return NO_WEALTH_CHANGE
    limit = max(limit, RATE_FLOOR)
    bad = min(bad, answers)
    wealth = []
    for gap in GAPS:
        stake = min(gap / (limit * (1 - limit)), MAX_STAKE / limit)
        wealth.append(bad * math.log1p(stake * (1 - limit)) + (answers - bad) * math.log1p(-stake * limit))
    return tuple(wealth)


def log_mean_exp(values: Iterable[float], weights: Sequence[float] | None = None) -> float:
    """Return log(mean(exp(values))), or of the mean by `weights` that sum to 1, without overflow."""
    logs = list(values)
    if weights is None:
        weights = [1 / len(logs)] * len(logs)
    top = max(logs)
    return top + math.log(math.fsum(w * math.exp(v - top) for v, w in zip(logs, weights, strict=True)))


def log_e_value(log_wealth: Sequence[float], design_effect: float) -> float:
    """Return the log of the mean wealth, each bet tempered by the design effect (the correction of Rao and Scott)."""
    return log_mean_exp(value / design_effect for value in log_wealth)


def _excess_variance(answers: Sequence[int], bad: Sequence[int]) -> tuple[float, float]:
    """Return the variance of bad answers between buckets: as seen, and as expected of independent answers."""
    total, total_bad = sum(answers), sum(bad)
    rate = min(total_bad / total, 1.0)
    seen = math.fsum((s - rate * n) ** 2 for n, s in zip(answers, bad, strict=True))
    expected = total * rate * (1 - rate) * (1 - math.fsum(n * n for n in answers) / (total * total))
    return seen, expected


def design_effect(
    candidate: tuple[Sequence[int], Sequence[int]], incumbent: tuple[Sequence[int], Sequence[int]] | None = None
) -> float:
    """Return by how much the answers' dependence (sessions, retries) inflates the variance of a rate, at least 1.

    Each arm is (answers, bad) by bucket of the sticky key. The candidate's own effect counts alone once it has enough
    bad answers, since a candidate may fail by sessions where the incumbent does not.
    """
    seen = expected = own = 0.0
    arms = [candidate] if incumbent is None else [candidate, incumbent]
    for index, (answers, bad) in enumerate(arms):
        if sum(answers) < MIN_ARM_FOR_DESIGN_EFFECT:
            continue
        arm_seen, arm_expected = _excess_variance(answers, bad)
        seen += arm_seen
        expected += arm_expected
        if index == 0 and sum(bad) >= MIN_BAD_FOR_OWN_DESIGN_EFFECT:
            own = _shrink(arm_seen, arm_expected)
    return max(1.0, _shrink(seen, expected), own)


def _shrink(seen: float, expected: float) -> float:
    return (seen + PRIOR_VARIANCE_RATIO * PRIOR_WEIGHT) / (expected + PRIOR_WEIGHT)


def upper_rate(answers: int, bad: int, effect: float, level: float) -> float:
    """Return the rate that the true one exceeds with a chance of at most `level`, given `bad` of `answers`; 1 without
    answers.

    Chernoff's bound in its Kullback-Leibler form, on `answers / effect` independent answers; found by bisection.
    """
    if answers == 0:
        return 1.0
    rate = min(bad / answers, 1.0)
    needed = math.log(1 / level) * effect / answers
    low, high = rate, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _divergence(rate, middle) < needed:
            low = middle
        else:
            high = middle
    return high


def _divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of a coin of rate p from one of rate q;
    infinite where q cannot produce p.
    """
    if q >= 1:
        return 0.0 if p >= 1 else math.inf
    if q <= 0:
        return 0.0 if p <= 0 else math.inf
    head = p * math.log(p / q) if p > 0 else 0.0
    tail = (1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0
    return head + tail


def detectable_rise(
    base: float, allowed: float, *, candidate: int, incumbent: int | None, effect: float, alpha: float
) -> float | None:
    """Return the rise over the rate `base` that these answers would have shown with a chance of about 80 %; None
    without answers.

    `allowed` is the rise that the test tolerates, `incumbent` the number of answers behind `base` (None: a fixed rate),
    `alpha` the test's own share of the error budget. An approximation; never more than 1.
    """
    if candidate == 0 or incumbent == 0:
        return None
    multiple = POWER_QUANTILE + math.sqrt(2 * math.log(4 / alpha))
    base_variance = 0.0 if incumbent is None else base * (1 - base) / incumbent
    rise = allowed
    for _ in range(60):
        rate = min(base + rise, MAX_RATE)
        rise = allowed + multiple * math.sqrt(effect * (rate * (1 - rate) / candidate + base_variance))
    return min(rise, 1.0)
