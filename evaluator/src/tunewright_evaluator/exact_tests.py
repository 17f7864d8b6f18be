"""Exact tests of 0/1 scores: paired against a non-inferiority margin, and of one adapter against a bound.

Sources: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design" (the statistic); Hsueh, Liu and Chen 2001, "Unconditional exact tests for equivalence or noninferiority for
paired binary endpoints" (the test, and that its largest p-value lies on the boundary).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

GRID_POINTS = 45
"""How many values of the nuisance parameter (the share of records with different scores) are tried."""

BLOCK_COLUMNS = 256
"""How many columns of the table of outcomes are in memory at a time.

For 10,000 records, the whole table would need 5 GiB; these columns need 150 MiB.
"""

TIE = 1e-9
"""Statistics closer than this count as equal; otherwise rounding could drop the observed table from its tail."""


def tango_score(better: Floats | float, worse: Floats | float, records: int, margin: float) -> Floats:
    """Return Tango's score statistic of "worse by `margin`".

    It is large if the candidate is better than that, and 0 where it is undefined.
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
    """Return the exact unconditional p-value of "the candidate is worse by `margin` or more".

    A small value proves that it is not.
    """
    return _exact_p_value(better, worse, records, margin, sign=1)


def inferiority_p_value(better: int, worse: int, records: int, margin: float) -> float:
    """Return the exact unconditional p-value of "the candidate is worse by at most `margin`".

    A small value proves that it is worse by more.
    """
    return _exact_p_value(better, worse, records, margin, sign=-1)


def _exact_p_value(better: int, worse: int, records: int, margin: float, *, sign: int) -> float:
    """Return the largest probability, at the boundary of the null hypothesis, of a table as extreme as the observed.

    For a given number of worse records, the number of better ones is binomial, and the statistic grows with it. So the
    tail of each row is one incomplete beta function. The nuisance parameter takes GRID_POINTS values, then as many
    around the one with the largest probability.
    """
    counts = np.arange(records + 1, dtype=np.float64)
    observed = sign * float(tango_score(better, worse, records, margin))
    # The tail of a row: at least `first` better records (sign 1), or at most `last` (sign -1).
    tail_size = _count_extreme(observed, records, margin, sign=sign)
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


def _count_extreme(observed: float, records: int, margin: float, *, sign: int) -> Floats:
    """Return, for each number of worse records from 0 to `records`, how many numbers of better ones are as extreme."""
    counts = np.arange(records + 1, dtype=np.float64)
    sizes = np.empty(records + 1)
    for start in range(0, records + 1, BLOCK_COLUMNS):
        worse = counts[None, start : start + BLOCK_COLUMNS]
        better = counts[: records + 1 - start, None]
        extreme = (sign * tango_score(better, worse, records, margin) >= observed - TIE) & (better + worse <= records)
        sizes[start : start + BLOCK_COLUMNS] = extreme.sum(axis=0)
    return sizes


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
    return float(_at_least(np.asarray(float(good)), np.asarray(float(records)), np.asarray(rate)))


def binomial_lower_tail(good: int, records: int, rate: float) -> float:
    """Return P(X <= good) of `records` trials at `rate`."""
    return float(_at_most(np.asarray(float(good)), np.asarray(float(records)), np.asarray(rate)))
