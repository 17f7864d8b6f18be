"""Sequential tests by betting: the statistics of the live guardrails.

A test starts with a wealth of 1 and bets on "the candidate is worse than allowed". Under the null hypothesis no bet has
a positive expected gain. So the probability that the wealth ever reaches 1/alpha is at most alpha (Ville 1939), however
often the wealth is checked. Rates are rates of bad answers in [0, 1]; wealth is stored as natural logarithms. All
functions are pure functions of counts.

Sources: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Turner, Ly and
Grünwald 2024, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping"; Rao and Scott
1992, "A simple method for the analysis of clustered binary data"; Bell and McCaffrey 2002, "Bias reduction in standard
errors for linear regression with multi-stage samples" (the jackknife for clusters of very different sizes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

GAPS = (0.02, 0.04, 0.08, 0.16, 0.32)
"""Suspected excess rates of the candidate: one bet is placed on each, with equal weights."""

NO_WEALTH_CHANGE = (0.0,) * len(GAPS)

RATE_FLOOR = 0.001
"""The lowest rate that a bet tests against: below it, one bad answer alone would decide."""

MAX_STAKE = 0.9
"""The largest share of its wealth that a bet may lose on one answer, so that wealth never becomes 0."""

MIN_BLOCK = 5
"""The fewest answers of each arm in a block; a block with answers of one arm only cannot compare."""

MIN_ARM_FOR_DESIGN_EFFECT = 64
MIN_BAD_FOR_OWN_DESIGN_EFFECT = 10
PRIOR_VARIANCE_RATIO = 4.0
PRIOR_WEIGHT = 10.0
"""Until the buckets show how far requests depend on each other, each counts as a quarter of an independent one."""
FEW_BUCKETS_WEIGHT = 2.0
"""How much a design effect that was measured with few buckets is increased.

A variance that is estimated from k groups is often too small: the quantiles of Student's t with k - 1 degrees of
freedom exceed the normal ones by about z²/4(k - 1) of themselves.
"""
MAX_FEW_BUCKETS_FACTOR = 10.0
"""The largest such increase: bad answers to one key are little evidence, but a guard must not become blind."""

POWER_QUANTILE = 0.84
"""The normal quantile for a power of 80 %."""

MAX_RATE = 0.999


class Block(NamedTuple):
    """The counts of both arms' answers since the last closed block."""

    candidate: int
    candidate_bad: int
    incumbent: int
    incumbent_bad: int

    @property
    def closable(self) -> bool:
        """Return whether both arms have enough answers to close the block.

        It stays open while there are more bad answers than judged ones, which happens when a check is late.
        """
        enough = self.candidate >= MIN_BLOCK and self.incumbent >= MIN_BLOCK
        return enough and self.candidate_bad <= self.candidate and self.incumbent_bad <= self.incumbent


def guess_rate(answers: int, bad: int) -> float:
    """Return an estimate of the incumbent's rate from the answers before a block.

    A bet is valid whatever the estimate is; a good estimate makes it detect more.
    """
    return min(max((bad + 0.5) / (answers + 10), 0.002), 0.9)


def log_relative_factor(gap: float, max_regression: float, guess: float, block: Block) -> float:
    """Return the log of the factor by which one block multiplies the wealth of the bet on `gap`.

    The stakes are balanced: stake times number of answers is equal for both arms. So for independent answers, the
    expected factor is at most 1 if the candidate's rate is at most the incumbent's plus `max_regression`. This holds
    for any `guess` that is fixed before the block, and the traffic split need not be known.
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
    """Return the log wealth of each bet on "the rate is above `limit`", after `answers` answers of which `bad` are bad.

    The stakes are constant, so the wealth depends only on the counts, and no history is stored. A limit of 1 or more
    cannot be exceeded.
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


def log_run_wealth(limit: float, bad: int) -> float:
    """Return the log wealth of a bet on "every answer is bad", after `bad` answers of which all were bad.

    It is lost with the first good answer, and so may stake more than `log_absolute_wealth`.
    """
    return bad * math.log1p(MAX_STAKE * (1 - limit) / limit)


def log_mean_exp(values: Iterable[float], weights: Sequence[float] | None = None) -> float:
    """Return log(mean(exp(values))) without overflow; `weights`, which sum to 1, make it a weighted mean."""
    logs = list(values)
    if weights is None:
        weights = [1 / len(logs)] * len(logs)
    top = max(logs)
    return top + math.log(math.fsum(w * math.exp(v - top) for v, w in zip(logs, weights, strict=True)))


def log_e_value(log_wealth: Sequence[float], design_effect: float) -> float:
    """Return the log of the mean wealth, with each log wealth divided by the design effect (Rao and Scott 1992)."""
    return log_mean_exp(value / design_effect for value in log_wealth)


def _excess_variance(answers: Sequence[int], bad: Sequence[int]) -> tuple[float, float]:
    """Return the variance of the number of bad answers: as the buckets show it, and that of independent answers.

    Each bucket's deviation is taken from the rate of the other buckets (the jackknife). Otherwise, one client with most
    of the answers would determine the rate that it is compared with, and its dependent answers would look independent.
    """
    total, total_bad = sum(answers), sum(bad)
    rate = min(total_bad / total, 1.0)
    deviations = ((s - rate * n) / (1 - n / total) for n, s in zip(answers, bad, strict=True) if n < total)
    return math.fsum(each * each for each in deviations), total * rate * (1 - rate)


def _correct_for_few_buckets(effect: float, answers: Sequence[int]) -> float:
    """Return the design effect of these answers, which is larger if few buckets have most of them."""
    total = sum(answers)
    if total == 0:
        return effect
    buckets = total * total / math.fsum(n * n for n in answers)
    factor = 1 + FEW_BUCKETS_WEIGHT / (buckets - 1) if buckets > 1 else MAX_FEW_BUCKETS_FACTOR
    return effect * min(factor, MAX_FEW_BUCKETS_FACTOR)


def design_effect(
    candidate: tuple[Sequence[int], Sequence[int]], incumbent: tuple[Sequence[int], Sequence[int]] | None = None
) -> float:
    """Return by which factor dependent answers (sessions, retries) increase the variance of a rate; at least 1.

    Each arm is (answers, bad) by bucket of the sticky key. When the candidate has enough bad answers, the result is at
    least the candidate's own effect: a candidate can fail in whole sessions although the incumbent does not.
    It is larger if few buckets have most of the candidate's answers.
    """
    arms = [candidate] if incumbent is None else [candidate, incumbent]
    variances = [_excess_variance(*arm) for arm in arms if sum(arm[0]) >= MIN_ARM_FOR_DESIGN_EFFECT]
    pooled = _shrink(math.fsum(seen for seen, _ in variances), math.fsum(expected for _, expected in variances))
    answers, bad = candidate
    if max(answers) == sum(answers):
        own = max(pooled, PRIOR_VARIANCE_RATIO)  # One bucket shows no variance.
    elif sum(answers) >= MIN_ARM_FOR_DESIGN_EFFECT and sum(bad) >= MIN_BAD_FOR_OWN_DESIGN_EFFECT:
        own = _shrink(*variances[0])
    else:
        own = pooled
    return max(1.0, pooled, _correct_for_few_buckets(own, answers))


def design_effect_at(rate: float, answers: Sequence[int], bad: Sequence[int]) -> float:
    """Return the design effect of counts by bucket under the hypothesis that their rate is `rate`; at least 1.

    If the true rate is another one, the result is larger than the design effect: that costs power, never validity.
    """
    seen = math.fsum((s - rate * n) ** 2 for n, s in zip(answers, bad, strict=True))
    return max(1.0, _shrink(seen, sum(answers) * rate * (1 - rate)))


def _shrink(seen: float, expected: float) -> float:
    return (seen + PRIOR_VARIANCE_RATIO * PRIOR_WEIGHT) / (expected + PRIOR_WEIGHT)


def upper_rate(answers: int, bad: int, effect: float, level: float) -> float:
    """Return an upper bound on a rate, given `bad` of `answers`; 1 without answers.

    The true rate exceeds it with a probability of at most `level`. It is Chernoff's bound in the Kullback-Leibler form
    for `answers / effect` independent answers, computed by bisection.
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
    """Return the Kullback-Leibler divergence between Bernoulli distributions with the rates p and q.

    It is infinite if a rate of q cannot produce p.
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
    """Return the increase over the rate `base` that these answers would detect with a probability of about 80 %.

    `allowed` is the increase that the test tolerates, `incumbent` the number of answers that `base` is computed from
    (None: a fixed rate), `alpha` the test's share of the error budget. The result is an approximation and at most 1;
    None without answers.
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
