"""Exact tests against brute force, and the sizes and powers in the documentation."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from support.examples import examples
from tunewright_evaluator import exact_tests


def brute_force(better: int, worse: int, records: int, margin: float, sign: int) -> float:
    """Return the p-value by its definition: enumerate every table at each of many nuisance values."""
    observed = sign * float(exact_tests.tango_score(better, worse, records, margin))
    extreme = [
        (b, c)
        for b in range(records + 1)
        for c in range(records + 1 - b)
        if sign * float(exact_tests.tango_score(b, c, records, margin)) >= observed - 1e-9
    ]
    discordance = np.linspace(margin, 1, 300)
    worse_rate, better_rate = (discordance + margin) / 2, (discordance - margin) / 2
    same_rate = np.maximum(1 - better_rate - worse_rate, 0)
    total = np.zeros_like(discordance)
    for b, c in extreme:
        tables = math.comb(records, b) * math.comb(records - b, c)
        total += tables * better_rate**b * worse_rate**c * same_rate ** (records - b - c)
    return float(total.max())


@pytest.mark.parametrize(
    ("better", "worse", "records", "margin"),
    [(2, 1, 10, 0.1), (0, 0, 12, 0.2), (1, 4, 9, 0.05), (3, 3, 8, 0.0), (0, 8, 8, 0.1), (2, 0, 36, 0.02)],
)
def test_p_values_equal_their_definition(better, worse, records, margin):
    arguments = (better, worse, records, margin)
    assert exact_tests.non_inferiority_p_value(*arguments) == pytest.approx(brute_force(*arguments, 1), rel=1e-3)
    assert exact_tests.inferiority_p_value(*arguments) == pytest.approx(brute_force(*arguments, -1), rel=1e-3)


@pytest.mark.parametrize("columns", [1, 7, 61])
@pytest.mark.parametrize("sign", [1, -1])
def test_counting_in_blocks_covers_the_whole_table(monkeypatch, columns, sign):
    monkeypatch.setattr(exact_tests, "BLOCK_COLUMNS", columns)
    records, margin = 60, 0.05
    counts = np.arange(records + 1.0)
    table = sign * exact_tests.tango_score(counts[:, None], counts[None, :], records, margin)
    possible = counts[:, None] + counts[None, :] <= records
    for better, worse in [(0, 0), (3, 5), (20, 1), (0, 60)]:
        observed = float(table[better, worse])
        whole = ((table >= observed - exact_tests.TIE) & possible).sum(axis=0)
        blocks = exact_tests._count_extreme(observed, records, margin, sign=sign)
        assert blocks.tolist() == whole.tolist()


def test_many_records_fit_into_memory():
    """A table of 2,000 × 2,000 takes 32 MB; without blocks, about seven of them would be in memory."""
    tracemalloc.start()
    try:
        exact_tests.non_inferiority_p_value(20, 20, 2000, 0.05)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64e6


@pytest.mark.parametrize("records", [7, 60])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.3])
def test_the_score_grows_with_each_better_record(records, margin):
    """Because of this, the tail of a row is one incomplete beta function."""
    counts = np.arange(records + 1.0)
    table = exact_tests.tango_score(counts[:, None], counts[None, :], records, margin)
    for worse in range(records + 1):
        assert np.all(np.diff(table[: records + 1 - worse, worse]) >= -1e-12)


def test_the_score_without_a_margin_is_that_of_mcnemar():
    """Without a margin Tango's statistic is McNemar's."""
    assert exact_tests.tango_score(9, 4, 50, 0.0) == pytest.approx((9 - 4) / math.sqrt(9 + 4))


def test_the_p_value_without_a_loss_has_a_closed_form():
    assert exact_tests.non_inferiority_p_value(0, 0, 60, 0.05) == pytest.approx(0.95**60, rel=1e-6)


@given(st.integers(1, 40), st.data(), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=examples(60))
def test_another_better_record_never_increases_the_p_value(records, data, margin):
    worse = data.draw(st.integers(0, records - 1))
    better = data.draw(st.integers(0, records - 1 - worse))
    first = exact_tests.non_inferiority_p_value(better, worse, records, margin)
    second = exact_tests.non_inferiority_p_value(better + 1, worse, records, margin)
    assert second <= first + 1e-9


def rejection_region(records: int, margin: float, alpha: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return all (better, worse) tables that prove non-inferiority,
    by bisection, since the p-value falls as the score grows.
    """
    counts = np.arange(records + 1)
    better, worse = np.meshgrid(counts, counts, indexing="ij")
    possible = better + worse <= records
    better, worse = better[possible], worse[possible]
    score = exact_tests.tango_score(better, worse, records, margin)
    order = np.argsort(-score)
    low, high = -1, order.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        table = (int(better[order[middle]]), int(worse[order[middle]]))
        if exact_tests.non_inferiority_p_value(*table, records, margin) <= alpha:
            low = middle
        else:
            high = middle
    rejected = score >= score[order[low]] - 1e-9
    return better[rejected], worse[rejected]


def chance(region: tuple[np.ndarray, np.ndarray], records: int, better_rate: float, worse_rate: float) -> float:
    better, worse = region
    table = np.stack([better, worse, records - better - worse], axis=-1)
    return float(stats.multinomial.pmf(table, records, [better_rate, worse_rate, 1 - better_rate - worse_rate]).sum())


@pytest.mark.parametrize(
    ("records", "margin", "powers"), [(100, 0.02, (20, 15, 11)), (100, 0.03, (30, 21, 16)), (200, 0.05, (88, 67, 44))]
)
def test_size_and_power_agree_with_the_documentation(records, margin, powers):
    region = rejection_region(records, margin)
    found = [100 * chance(region, records, share / 2, share / 2) for share in (0.05, 0.1, 0.2)]
    assert found == pytest.approx(powers, abs=1)
    sizes = [
        chance(region, records, (share - margin) / 2, (share + margin) / 2) for share in np.linspace(margin, 1, 200)
    ]
    assert 0.04 < max(sizes) <= 0.05 + 1e-3


@pytest.mark.parametrize(("good", "records", "rate"), [(0, 10, 0.3), (10, 10, 0.3), (4, 10, 0.3), (174, 200, 0.8)])
def test_binomial_tails(good, records, rate):
    assert exact_tests.binomial_upper_tail(good, records, rate) == pytest.approx(
        stats.binom.sf(good - 1, records, rate)
    )
    assert exact_tests.binomial_lower_tail(good, records, rate) == pytest.approx(stats.binom.cdf(good, records, rate))
