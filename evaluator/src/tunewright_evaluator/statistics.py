"""What an offline comparison proves: Pass, Fail or Inconclusive for one metric on the same records.

`maxRegression` is a non-inferiority margin: Pass is a proof that the candidate is not worse by that much, Fail the
proof that it is; no significant difference is never a Pass. `minimum` is a bound on the candidate's mean score, with
the same three values. Scores lie in [0, 1]; 0/1 scores get exact tests, others the paired bootstrap.

Sources: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design"; Hsueh, Liu and Chen 2001, "Unconditional exact tests for equivalence or noninferiority for paired binary
endpoints"; Efron 1987, "Better bootstrap confidence intervals".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from tunewright_contracts.evaluation_report import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID_POINTS = 45
"""Values of the nuisance parameter (the share of records that the two adapters score differently) that are tried."""

TIE = 1e-9
"""Statistics closer than this are equal: without it, rounding would drop the observed table from its own tail."""

RESAMPLES = 4000
FEWEST_RECORDS = 20
"""A bootstrap of fewer records proves nothing."""

POWER = 0.8
"""The chance of a Pass, for an adapter that is as good as the other, at which records are said to be enough."""


@dataclass(frozen=True)
class Outcome:
    """A metric's verdict and the sentence that explains it.

    `difference` is the candidate's mean less the incumbent's (or less the bound); `better` and `worse` count records
    and are None without an incumbent; `records_needed` is None where the verdict is no question of more records.
    """

    verdict: Verdict
    message: str
    difference: float
    records: int
    better: int | None = None
    worse: int | None = None
    records_needed: int | None = None


def assess_regression(
    candidate: Sequence[float], incumbent: Sequence[float], margin: float, confidence: float = 0.95, *, seed: int = 0
) -> Outcome:
    """Compare two adapters' scores of the same records, in the same order, against a non-inferiority margin.

    Raises: ValueError: the sequences differ in length or are empty, a score lies outside [0, 1], or `margin` outside
    [0, 1).
    """
    new, old = _scores("candidate", candidate), _scores("incumbent", incumbent)
    if new.size != old.size:
        raise ValueError(
            f"{new.size} scores of the candidate and {old.size} of the incumbent: they must be of the same records"
        )
    if not 0 <= margin < 1:
        raise ValueError(f"margin {margin} must be at least 0 and below 1")
    alpha = _alpha(confidence)
    differences = new - old
    better, worse = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    records = int(new.size)
    if _is_binary(new) and _is_binary(old):
        verdict = _decide(
            non_inferiority_p_value(better, worse, records, margin),
            inferiority_p_value(better, worse, records, margin),
            alpha,
        )
        variance = (better + worse + 0.5) / (records + 1)
    else:
        lower, upper = bca_bounds(differences, alpha, seed=seed)
        # Losses too rare to be in the sample cannot be resampled: below this number even a flawless record proves no margin.
        enough = records >= max(FEWEST_RECORDS, records_without_difference(margin, confidence))
        passed = lower > -margin and enough
        failed = upper < -margin and records >= FEWEST_RECORDS
        verdict = Verdict.PASS if passed else Verdict.FAIL if failed else Verdict.INCONCLUSIVE
        variance = max(float(np.var(differences)), 0.5 / (records + 1))
    needed = None
    if verdict is Verdict.INCONCLUSIVE and margin > 0:
        needed = records_needed(margin, variance, confidence)
    difference = float(np.mean(differences))
    counts = f"better on {better} and worse on {worse} of {records} records (mean {difference:+.3f})"
    message = {
        Verdict.PASS: f"{counts}: not worse by {margin:g} or more, at {confidence:.0%} confidence",
        Verdict.FAIL: f"{counts}: worse by more than {margin:g}, at {confidence:.0%} confidence",
    }.get(verdict, f"{counts}: neither shown to be within {margin:g} nor to be worse; {_advice(records, needed)}")
    return Outcome(verdict, message, difference, records, better, worse, needed)


def assess_minimum(scores: Sequence[float], minimum: float, confidence: float = 0.95, *, seed: int = 0) -> Outcome:
    """Compare an adapter's mean score with a bound.

    Raises:
        ValueError: there are no scores, a score lies outside [0, 1], or `minimum` does.
    """
    values = _scores("candidate", scores)
    if not 0 <= minimum <= 1:
        raise ValueError(f"minimum {minimum} must be between 0 and 1")
    alpha = _alpha(confidence)
    records, mean = int(values.size), float(np.mean(values))
    if minimum == 0:
        verdict = Verdict.PASS
    elif _is_binary(values):
        good = int(np.sum(values))
        verdict = _decide(
            binomial_upper_tail(good, records, minimum), binomial_lower_tail(good, records, minimum), alpha
        )
    else:
        lower, upper = bca_bounds(values, alpha, seed=seed)
        passed = lower > minimum and records >= max(FEWEST_RECORDS, records_without_difference(1 - minimum, confidence))
        failed = upper < minimum and records >= FEWEST_RECORDS
        verdict = Verdict.PASS if passed else Verdict.FAIL if failed else Verdict.INCONCLUSIVE
    needed = None
    if verdict is Verdict.INCONCLUSIVE:
        needed = records_needed_for_minimum(minimum, mean, confidence)
    seen = f"{mean:.3f} on {records} records"
    message = {
        Verdict.PASS: f"{seen}: at least {minimum:g}, at {confidence:.0%} confidence",
        Verdict.FAIL: f"{seen}: below {minimum:g}, at {confidence:.0%} confidence",
    }.get(verdict, f"{seen}: shown to be neither over nor under {minimum:g}; {_advice(records, needed)}")
    return Outcome(verdict, message, mean - minimum, records, records_needed=needed)


def tango_score(better: Floats | float, worse: Floats | float, records: int, margin: float) -> Floats:
    """Return Tango's score statistic of "worse by `margin`": large when the candidate is better than that; 0 where
    undefined.
    """
    b, c, n, m = np.asarray(better, dtype=np.float64), np.asarray(worse, dtype=np.float64), records, margin
    linear = -b - c - (2 * n - b + c) * m
    constant = c * m * (1 + m)
    worse_rate = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
    variance = n * (2 * worse_rate - m * (1 + m))
    numerator = b - c + n * m
    safe = np.where(variance > TIE, variance, 1.0)
    return np.where(variance > TIE, numerator / np.sqrt(safe), 0.0)


def non_inferiority_p_value(better: int, worse: int, records: int, margin: float) -> float:
    """Return the exact unconditional p-value of "the candidate is worse by `margin` or more": small proves that it is
    not.
    """
    return _exact_p_value(better, worse, records, margin, sign=1)


def inferiority_p_value(better: int, worse: int, records: int, margin: float) -> float:
    """Return the exact unconditional p-value of "the candidate is worse by at most `margin`": small proves that it is
    worse.
    """
    return _exact_p_value(better, worse, records, margin, sign=-1)


def _exact_p_value(better: int, worse: int, records: int, margin: float, *, sign: int) -> float:
    """Return the largest chance, at the boundary of the null hypothesis, of a table at least as extreme as the one
    seen.

    With the worse records given, the better ones are binomial, and the statistic grows with them: each row's tail is
    one incomplete beta function. The nuisance parameter takes GRID_POINTS values, then as many around the worst of
    them.
    """
    counts = np.arange(records + 1, dtype=np.float64)
    table = sign * tango_score(counts[:, None], counts[None, :], records, margin)
    observed = sign * float(tango_score(better, worse, records, margin))
    possible = counts[:, None] + counts[None, :] <= records
    extreme = (table >= observed - TIE) & possible
    # The tail of a row: at least `first` better records (sign 1), or at most `last` (sign -1).
    tail_size = extreme.sum(axis=0).astype(np.float64)
    remaining = records - counts
    first, last = remaining - tail_size + 1, tail_size - 1

    def tail(discordance: Floats) -> Floats:
        worse_rate, better_rate = (discordance + margin) / 2, (discordance - margin) / 2
        rows = _binomial_pmf(counts[None, :], records, worse_rate[:, None])
        conditional = np.clip(better_rate / np.maximum(1 - worse_rate, 1e-300), 0, 1)[:, None]
        inside = _at_least(first, remaining, conditional) if sign > 0 else _at_most(last, remaining, conditional)
        return np.asarray((rows * inside).sum(axis=1))

    grid = np.linspace(max(margin, 1e-9), 1, GRID_POINTS)
    values = tail(grid)
    worst = int(np.argmax(values))
    nearby = np.linspace(grid[max(worst - 1, 0)], grid[min(worst + 1, GRID_POINTS - 1)], GRID_POINTS)
    return min(1.0, max(float(values[worst]), float(tail(nearby).max())))


def _binomial_pmf(count: Floats, total: int, rate: Floats) -> Floats:
    log_choose = special.gammaln(total + 1) - special.gammaln(count + 1) - special.gammaln(total - count + 1)
    return np.asarray(np.exp(log_choose + special.xlogy(count, rate) + special.xlog1py(total - count, -rate)))


def _at_least(first: Floats, total: Floats, rate: Floats) -> Floats:
    """Return P(X >= first) of a binomial; 1 for first <= 0, 0 for first > total."""
    inner = special.betainc(np.maximum(first, 1), np.maximum(total - first + 1, 1), rate)
    return np.where(first <= 0, 1.0, np.where(first > total, 0.0, inner))


def _at_most(last: Floats, total: Floats, rate: Floats) -> Floats:
    """Return P(X <= last) of a binomial; 0 for last < 0, 1 for last >= total."""
    inner = special.betaincc(np.maximum(last + 1, 1), np.maximum(total - last, 1), rate)
    return np.where(last < 0, 0.0, np.where(last >= total, 1.0, inner))


def binomial_upper_tail(good: int, records: int, rate: float) -> float:
    """Return P(X >= good) of `records` trials at `rate`."""
    return float(_at_least(np.float64(good), np.float64(records), np.float64(rate)))


def binomial_lower_tail(good: int, records: int, rate: float) -> float:
    """Return P(X <= good) of `records` trials at `rate`."""
    return float(_at_most(np.float64(good), np.float64(records), np.float64(rate)))


def bca_bounds(values: Floats, alpha: float, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the lower and the upper one-sided bound of the mean, each at level `alpha`, by the BCa bootstrap.

    The same values and seed give the same bounds. Values that are all equal give their mean twice.
    """
    mean = float(values.mean())
    deviations = values - mean
    spread = float(np.sum(deviations**2))
    if spread < TIE:
        return mean, mean
    generator = np.random.default_rng(seed)
    means = np.sort(values[generator.integers(values.size, size=(resamples, values.size))].mean(axis=1))
    below = (np.sum(means < mean) + np.sum(means == mean) / 2) / resamples
    bias = float(special.ndtri(np.clip(below, 1 / resamples, 1 - 1 / resamples)))
    # The jackknife's acceleration; leaving one value out of a mean moves it by that value's deviation.
    acceleration = float(np.sum(deviations**3)) / (6 * spread**1.5)

    def bound(quantile: float) -> float:
        z = bias + quantile
        return float(np.quantile(means, special.ndtr(bias + z / (1 - acceleration * z))))

    z_alpha = float(special.ndtri(alpha))
    return bound(z_alpha), bound(-z_alpha)


def records_needed(margin: float, discordance: float, confidence: float = 0.95, power: float = POWER) -> int:
    """Return how many records would show, with a chance of `power`, that an equally good adapter is within `margin`.

    `discordance` is the share of records that are scored differently (for scores that are not 0/1: the differences'
    variance). Rounded up to two figures; never fewer than a flawless record needs.
    """
    if not 0 < margin < 1:
        raise ValueError(
            f"margin {margin} must be between 0 and 1: no number of records proves a difference of exactly 0"
        )
    half = discordance / 2
    linear = -2 * half - 2 * margin
    root = math.sqrt(max(linear**2 - 8 * half * margin * (1 + margin), 0))
    null_variance = (root - linear) / 2 - margin * (1 + margin)
    z_alpha, z_power = float(special.ndtri(confidence)), float(special.ndtri(power))
    needed = ((z_alpha * math.sqrt(null_variance) + z_power * math.sqrt(discordance)) / margin) ** 2
    return _round_up(max(needed, records_without_difference(margin, confidence)))


def records_without_difference(margin: float, confidence: float = 0.95) -> int:
    """Return how many records without any loss prove that losses are rarer than `margin`; 1 for a margin of 1."""
    if margin <= 0:
        return 1 << 62
    return 1 if margin >= 1 else math.ceil(math.log(1 - confidence) / math.log1p(-margin))


def records_needed_for_minimum(
    minimum: float, mean: float, confidence: float = 0.95, power: float = POWER
) -> int | None:
    """Return how many records would show that a mean like the one seen is over `minimum`; None where none would."""
    if mean <= minimum or minimum >= 1:
        return None
    z_alpha, z_power = float(special.ndtri(confidence)), float(special.ndtri(power))
    spread = z_alpha * math.sqrt(minimum * (1 - minimum)) + z_power * math.sqrt(mean * (1 - mean))
    needed = (spread / (mean - minimum)) ** 2
    return _round_up(max(needed, records_without_difference(1 - minimum, confidence)))


def _round_up(value: float) -> int:
    """Round up to two figures: more would claim to know more than an estimate does."""
    step = 10 ** max(math.floor(math.log10(max(value, 1))) - 1, 0)
    return math.ceil(value / step) * step


def _advice(records: int, needed: int | None) -> str:
    if needed is None:
        return "more records alone would not change that: the score or the bound has to move"
    if needed <= records:
        return f"about {needed} records are mostly enough, more would settle it: raise maxSamples"
    return f"it would take about {needed} records (80 % chance for an adapter like this one): raise maxSamples or the margin"


def _decide(p_pass: float, p_fail: float, alpha: float) -> Verdict:
    if p_pass <= alpha:
        return Verdict.PASS
    return Verdict.FAIL if p_fail <= alpha else Verdict.INCONCLUSIVE


def _alpha(confidence: float) -> float:
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence {confidence} must be over 0.5 and below 1, as in 0.95")
    return 1 - confidence


def _scores(whose: str, scores: Sequence[float]) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise ValueError(f"no scores of the {whose}: nothing was evaluated")
    outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if outside.size:
        raise ValueError(f"score {values[outside[0]]} of record {outside[0]} of the {whose} is outside [0, 1]")
    return values


def _is_binary(values: Floats) -> bool:
    return bool(np.all((values == 0) | (values == 1)))
