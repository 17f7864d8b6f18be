"""What an offline comparison proves: Pass, Fail or Inconclusive for one metric on the same records.

`maxRegression` is a non-inferiority margin: Pass proves that the candidate is not worse by that much, Fail proves that
it is. The lack of a significant difference is never a Pass. `minimum` is a bound on the candidate's mean score, with
the same three verdicts. Scores are in [0, 1]; 0/1 scores get exact tests, others the paired bootstrap.

Sources: Efron 1987, "Better bootstrap confidence intervals"; for the exact tests see `exact_tests`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from tunewright_contracts.evaluation_report import Verdict
from tunewright_evaluator import exact_tests

Floats = NDArray[np.float64]

SAME = 1e-12
"""A sum of squared deviations below this is rounding: all values are equal."""

RESAMPLES = 4000
BATCH = 128
"""How many resamples are in memory at a time: for 10,000 records, all would need 2 GiB; these need 10 MiB."""

FEWEST_RECORDS = 20
"""A bootstrap of fewer records proves nothing."""

POWER = 0.8
"""The probability of a Pass, for an adapter as good as the other, at which a number of records counts as enough."""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A metric's verdict and its explanation.

    `difference` is the candidate's mean minus the incumbent's (or minus the bound). `better` and `worse` count records
    and are None without an incumbent. `records_needed` is None if more records would not change the verdict.
    """

    verdict: Verdict
    message: str
    difference: float
    records: int
    better: int | None = None
    worse: int | None = None
    records_needed: int | None = None


def judge_regression(
    candidate: Sequence[float] | Floats,
    incumbent: Sequence[float] | Floats,
    margin: float,
    confidence: float = 0.95,
    *,
    seed: int = 0,
) -> Judgement:
    """Compare two adapters' scores of the same records, in the same order, against a non-inferiority margin.

    Raises:
        ValueError: the sequences differ in length or are empty, a score is outside [0, 1], or `margin` is outside
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
            exact_tests.non_inferiority_p_value(better, worse, records, margin),
            exact_tests.inferiority_p_value(better, worse, records, margin),
            alpha,
        )
        variance = (better + worse + 0.5) / (records + 1)
    else:
        lower, upper = bca_bounds(differences, alpha, seed=seed)
        # Losses that are too rare to be in the sample cannot be resampled: with fewer records, even a perfect result
        # proves no margin.
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
        Verdict.PASS: f"{counts}: not worse by {margin:g} or more, at {confidence * 100:g}% confidence",
        Verdict.FAIL: f"{counts}: worse by more than {margin:g}, at {confidence * 100:g}% confidence",
    }.get(verdict, f"{counts}: proven neither within {margin:g} nor worse by more; {_advice(records, needed)}")
    return Judgement(verdict, message, difference, records, better, worse, needed)


def judge_minimum(
    scores: Sequence[float] | Floats, minimum: float, confidence: float = 0.95, *, seed: int = 0
) -> Judgement:
    """Compare an adapter's mean score with a bound.

    Raises:
        ValueError: there are no scores, or a score or `minimum` is outside [0, 1].
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
            exact_tests.binomial_upper_tail(good, records, minimum),
            exact_tests.binomial_lower_tail(good, records, minimum),
            alpha,
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
        Verdict.PASS: f"{seen}: at least {minimum:g}, at {confidence * 100:g}% confidence",
        Verdict.FAIL: f"{seen}: below {minimum:g}, at {confidence * 100:g}% confidence",
    }.get(verdict, f"{seen}: proven neither above nor below {minimum:g}; {_advice(records, needed)}")
    return Judgement(verdict, message, mean - minimum, records, records_needed=needed)


def bca_bounds(values: Floats, alpha: float, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the lower and the upper one-sided bound of the mean, each at level `alpha`, by the BCa bootstrap.

    The same values and seed give the same bounds. Values that are all equal give their mean twice.
    """
    mean = float(values.mean())
    if float(np.sum((values - mean) ** 2)) < SAME:
        return mean, mean
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=BATCH,
        confidence_level=1 - 2 * alpha,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def records_needed(margin: float, discordance: float, confidence: float = 0.95, power: float = POWER) -> int:
    """Return how many records would prove, with probability `power`, that an equally good adapter is within `margin`.

    `discordance` is the share of records with different scores (for scores that are not 0/1: the variance of the
    differences). The result is rounded up to two digits, and at least the number that a perfect result needs.
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
    """Return how many records would prove that a mean like the observed one is above `minimum`; None if none would."""
    if mean <= minimum or minimum >= 1:
        return None
    z_alpha, z_power = float(special.ndtri(confidence)), float(special.ndtri(power))
    spread = z_alpha * math.sqrt(minimum * (1 - minimum)) + z_power * math.sqrt(mean * (1 - mean))
    needed = (spread / (mean - minimum)) ** 2
    return _round_up(max(needed, records_without_difference(1 - minimum, confidence)))


def _round_up(value: float) -> int:
    """Round up to two digits, because an estimate has no more."""
    step: int = 10 ** max(math.floor(math.log10(max(value, 1))) - 1, 0)
    return math.ceil(value / step) * step


def _advice(records: int, needed: int | None) -> str:
    if needed is None:
        return "more records alone would not change that: the score or the bound must change"
    if needed <= records:
        return (
            f"about {needed} records are usually enough, but these were not: train a better adapter, or raise "
            "maxSamples"
        )
    return (
        f"about {needed} records are needed (for an 80 % chance, with an adapter like this one): raise maxSamples or "
        "the margin"
    )


def _decide(p_pass: float, p_fail: float, alpha: float) -> Verdict:
    if p_pass <= alpha:
        return Verdict.PASS
    return Verdict.FAIL if p_fail <= alpha else Verdict.INCONCLUSIVE


def _alpha(confidence: float) -> float:
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence {confidence} must be from 0.5 to below 1, as in 0.95")
    return 1 - confidence


def _scores(whose: str, scores: Sequence[float] | Floats) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise ValueError(f"no scores of the {whose}: nothing was evaluated")
    outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if outside.size:
        raise ValueError(f"score {values[outside[0]]} of record {outside[0]} of the {whose} is outside [0, 1]")
    return values


def _is_binary(values: Floats) -> bool:
    return bool(np.all((values == 0) | (values == 1)))
