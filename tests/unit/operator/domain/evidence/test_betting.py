"""The arithmetic of the bets, mostly by exact enumeration of all outcomes."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from tunewright_operator.domain.evidence import betting

ROUNDING = 1e-9


def binomial(total: int, count: int, rate: float) -> float:
    return math.comb(total, count) * rate**count * (1 - rate) ** (total - count)


def expected_factor(
    gap: float, margin: float, guess: float, arms: tuple[int, int], rates: tuple[float, float]
) -> float:
    """E[block factor] for (candidate, incumbent) answers at their true rates, over all possible outcomes."""
    candidate, incumbent = arms
    return math.fsum(
        binomial(candidate, s, rates[0])
        * binomial(incumbent, t, rates[1])
        * math.exp(betting.log_relative_factor(gap, margin, guess, betting.Block(candidate, s, incumbent, t)))
        for s in range(candidate + 1)
        for t in range(incumbent + 1)
    )


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("guess", [0.002, 0.05, 0.3, 0.9])
def test_no_bet_gains_at_the_boundary_for_any_guess(margin, guess):
    """The guarantee behind Fail: at the boundary of the null hypothesis the expectation is at most 1."""
    worst = max(
        expected_factor(gap, margin, guess, arms, (rate + margin, rate))
        for gap in betting.GAPS
        for arms in product((1, 5, 8), (1, 5, 20))
        for rate in (0.0, 0.005, 0.1, 0.5, 0.65)
    )
    assert worst <= 1 + ROUNDING


def test_a_bet_gains_where_the_candidate_is_worse():
    assert expected_factor(0.16, 0.01, 0.05, (8, 20), (0.25, 0.05)) > 1.1


@given(
    gap=st.sampled_from(betting.GAPS),
    margin=st.floats(0, 0.3),
    guess=st.floats(0.002, 0.9),
    arms=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    rate=st.floats(0, 0.6),
    better_by=st.floats(0, 1),
)
def test_no_bet_gains_inside_the_null_hypothesis(*, gap, margin, guess, arms, rate, better_by):
    allowed = rate + margin
    assert expected_factor(gap, margin, guess, arms, (allowed * (1 - better_by), rate)) <= 1 + ROUNDING


@pytest.mark.parametrize("limit", [0.0, 0.001, 0.01, 0.2, 0.5, 0.97])
@pytest.mark.parametrize("answers", [1, 7, 40])
def test_no_absolute_bet_gains_at_or_under_the_limit(limit, answers):
    for rate in (limit, limit / 2):
        for bet in range(len(betting.GAPS)):
            expectation = math.fsum(
                binomial(answers, bad, rate) * math.exp(betting.log_absolute_wealth(limit, answers, bad)[bet])
                for bad in range(answers + 1)
            )
            assert expectation <= 1 + ROUNDING


def test_an_absolute_bet_gains_over_the_limit():
    assert betting.log_e_value(betting.log_absolute_wealth(0.01, 100, 20), 1.0) > math.log(1000)


def test_one_answer_costs_at_most_nine_tenths_of_the_wealth():
    assert betting.log_absolute_wealth(0.97, 1, 0)[-1] == pytest.approx(math.log(0.1))
    assert betting.log_relative_factor(0.32, 0.05, 0.9, betting.Block(1, 0, 1, 1)) > math.log(0.09)


def test_an_absolute_bets_wealth_is_the_product_of_its_answers():
    """Against 0.1: each bad answer gains stake * 0.9, each good one costs stake * 0.1, with gap / variance at stake."""
    stakes = [gap / 0.09 for gap in betting.GAPS]
    expected = [math.log((1 + stake * 0.9) ** 3 * (1 - stake * 0.1) ** 7) for stake in stakes]
    assert betting.log_absolute_wealth(0.1, 10, 3) == pytest.approx(expected)


def test_a_relative_bets_factor_is_the_product_of_its_answers():
    """Half of the answers are the candidate's, 0.2 was guessed, 0.02 is allowed;
    half of the gap of 0.04 is added to the guess.
    """
    stake = 0.04 / (0.24 * 0.76)
    candidate = (1 + stake / 2 * 0.76) ** 2 * (1 - stake / 2 * 0.24) ** 8
    incumbent = (1 - stake / 2 * 0.78) ** 1 * (1 + stake / 2 * 0.22) ** 9
    factor = betting.log_relative_factor(0.04, 0.02, 0.2, betting.Block(10, 2, 10, 1))
    assert factor == pytest.approx(math.log(candidate * incumbent))


@pytest.mark.parametrize(
    ("answers", "bad", "rate"), [(990, 99, 0.0995), (0, 0, 0.05), (10_000, 0, 0.002), (100, 100, 0.9)]
)
def test_the_guessed_rate_is_drawn_slightly_towards_one_in_twenty(answers, bad, rate):
    assert betting.guess_rate(answers, bad) == pytest.approx(rate)


def test_a_bet_on_a_run_of_bad_answers_does_not_gain_at_its_limit():
    """Each bad answer multiplies the wealth by 1.9 against one half; the first good one takes nine tenths of it."""
    assert betting.log_run_wealth(0.5, 7) == pytest.approx(7 * math.log(1.9))
    assert 0.5 * math.exp(betting.log_run_wealth(0.5, 1)) + 0.5 * 0.1 == pytest.approx(1)


def test_a_limit_of_one_cannot_be_broken():
    assert betting.log_e_value(betting.log_absolute_wealth(1.0, 50, 50), 1.0) == 0


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_the_upper_rate_is_rarely_exceeded(rate, level):
    answers = 120
    exceeded = math.fsum(
        binomial(answers, bad, rate)
        for bad in range(answers + 1)
        if betting.upper_rate(answers, bad, 1.0, level) < rate
    )
    assert exceeded <= level


def test_the_upper_rate_solves_its_equation():
    """No bad answer of 100: (1 - u)^100 = level has a closed form."""
    assert betting.upper_rate(100, 0, 1.0, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100), rel=1e-9)
    assert betting.upper_rate(100, 0, 2.0, 0.05) == pytest.approx(1 - 0.05 ** (1 / 50), rel=1e-9)
    assert betting.upper_rate(0, 0, 1.0, 0.05) == 1
    assert betting.upper_rate(10, 10, 1.0, 0.05) == 1


@pytest.mark.parametrize(("answers", "bad"), [(100, 10), (100, 50), (1000, 1)])
def test_the_upper_rate_is_where_the_divergence_reaches_the_level(answers, bad):
    """Chernoff: answers × KL(rate, upper) = ln(1/level), on the side above the rate."""
    rate, upper = bad / answers, betting.upper_rate(answers, bad, 1.0, 0.05)
    divergence = rate * math.log(rate / upper) + (1 - rate) * math.log((1 - rate) / (1 - upper))
    assert upper > rate
    assert answers * divergence == pytest.approx(math.log(1 / 0.05), rel=1e-9)


def test_the_design_effect_of_sessions_that_fail_as_a_whole_is_about_their_length():
    answers = (20,) * 64
    whole = tuple(20 if bucket % 4 == 0 else 0 for bucket in range(64))
    assert betting.design_effect((answers, whole)) == pytest.approx(20, rel=0.05)


def test_the_design_effect_of_evenly_spread_failures_is_one():
    assert betting.design_effect(((20,) * 64, (5,) * 64), ((20,) * 64, (5,) * 64)) == 1


def test_one_client_with_most_of_the_answers_does_not_determine_the_rate_it_is_compared_with():
    """Half of all answers are of one client, and bad; without the jackknife, its deviation is half as large."""
    answers, bad = (320, *(5,) * 63), (320, *(0,) * 63)
    rate = 320 / 635
    deviations = [(320 - 320 * rate) / (1 - 320 / 635), *[-5 * rate / (1 - 5 / 635)] * 63]
    variance = sum(each**2 for each in deviations) + 40
    buckets = 635**2 / (320**2 + 63 * 25)
    expected = variance / (635 * rate * (1 - rate) + 10) * (1 + betting.FEW_BUCKETS_WEIGHT / (buckets - 1))
    assert betting.design_effect((answers, bad)) == pytest.approx(expected)


def test_answers_to_one_key_are_little_evidence():
    """One bucket shows no variance: the assumption without data is used, and increased tenfold."""
    answers, bad = (200, *(0,) * 63), (60, *(0,) * 63)
    most = betting.PRIOR_VARIANCE_RATIO * betting.MAX_FEW_BUCKETS_FACTOR
    assert betting.design_effect((answers, bad)) == most
    assert betting.design_effect(((5, *(0,) * 63), (5, *(0,) * 63)), ((20,) * 64, (1,) * 64)) == most
    nearly = (199, 1, *(0,) * 62)
    own = betting.design_effect((nearly, (60, 1, *(0,) * 62)))
    assert own > most, "the second bucket shows how much they differ"
    dependent = ((20,) * 64, tuple(20 if bucket % 4 == 0 else 0 for bucket in range(64)))
    assert betting.design_effect((answers, bad), dependent) > most, "the incumbent shows longer sessions"


def test_the_design_effect_at_a_known_rate_compares_each_bucket_with_it():
    answers, bad = (20,) * 64, (*(20,) * 16, *(0,) * 48)
    variance = 16 * 15**2 + 48 * 5**2
    assert betting.design_effect_at(0.25, answers, bad) == pytest.approx((variance + 40) / (1280 * 0.1875 + 10))
    assert betting.design_effect_at(0.25, answers, (5,) * 64) == 1
    assert betting.design_effect_at(0.25, (0,) * 64, (0,) * 64) == betting.PRIOR_VARIANCE_RATIO


def test_without_enough_data_four_answers_count_as_one():
    nothing = (0,) * 64
    assert betting.design_effect((nothing, nothing)) == betting.PRIOR_VARIANCE_RATIO
    clustered = ((21, 21, 21, *(0,) * 61), (21, 0, 0, *(0,) * 61))
    few = betting.PRIOR_VARIANCE_RATIO * (1 + betting.FEW_BUCKETS_WEIGHT / 2)
    assert betting.design_effect(clustered) == pytest.approx(few), "63 answers are too few to measure it"
    assert betting.design_effect(((22, *clustered[0][1:]), clustered[1])) > 10, "64 are enough"


def test_a_large_incumbent_does_not_reduce_the_candidates_design_effect():
    """The candidate fails by whole sessions, the incumbent evenly."""
    whole = tuple(20 if bucket % 4 == 0 else 0 for bucket in range(64))
    candidate, incumbent = ((20,) * 64, whole), ((2000,) * 64, (500,) * 64)
    assert betting.design_effect(candidate, incumbent) == pytest.approx(betting.design_effect(candidate), rel=1e-9)


def test_a_mean_of_huge_wealths_does_not_overflow():
    assert betting.log_mean_exp([1e6, 1e6 - 1e5]) == pytest.approx(1e6 - math.log(2))
    assert betting.log_mean_exp([0.0, math.log(3)], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_the_detectable_rise_shrinks_to_the_margin_with_more_answers():
    rises = [
        betting.detectable_rise(0.05, 0.02, candidate=n, incumbent=9 * n, effect=1.5, alpha=0.01)
        for n in (50, 500, 5000, 10**8)
    ]
    assert rises == sorted(rises, reverse=True)
    assert rises[-1] == pytest.approx(0.02, abs=1e-3)
    assert betting.detectable_rise(0.05, 0.02, candidate=0, incumbent=9, effect=1.0, alpha=0.01) is None
    assert betting.detectable_rise(0.05, 0.02, candidate=9, incumbent=0, effect=1.0, alpha=0.01) is None


@pytest.mark.parametrize("incumbent", [None, 900])
def test_the_detectable_rise_is_detected_with_a_power_of_80_percent(incumbent):
    rise = betting.detectable_rise(0.05, 0.02, candidate=400, incumbent=incumbent, effect=1.5, alpha=0.01)
    rate = 0.05 + rise
    variance = rate * (1 - rate) / 400 + (0.05 * 0.95 / 900 if incumbent else 0)
    assert rise == pytest.approx(0.02 + (0.84 + math.sqrt(2 * math.log(400))) * math.sqrt(1.5 * variance))


def test_a_detectable_rise_is_at_most_one():
    assert betting.detectable_rise(0.5, 0.02, candidate=1, incumbent=1, effect=4.0, alpha=0.01) == 1.0


def test_a_block_stays_open_until_both_arms_have_enough_answers():
    assert betting.Block(5, 1, 5, 1).closable
    assert betting.Block(5, 5, 5, 5).closable, "all of them were bad"
    assert not betting.Block(4, 1, 50, 1).closable
    assert not betting.Block(50, 1, 4, 1).closable
    assert not betting.Block(5, 6, 50, 1).closable, "more bad answers than answers: the answers are still to be counted"


def expected_wealth(
    gap: float, margin: float, rate: float, past: tuple[int, int], groups: list[tuple[int, int]], limit: float
) -> float:
    """E[wealth] where a bet stops: when it has reached ``limit``, or after the last block; over all possible outcomes.

    ``groups`` has the answers of candidate and incumbent in each block, ``past`` the incumbent's answers before, and
    how many of them were bad.
    """
    if not groups:
        return 1.0
    (candidate, incumbent), *rest = groups
    guess, parts = betting.guess_rate(*past), []
    for bad, other in product(range(candidate + 1), range(incumbent + 1)):
        chance = binomial(candidate, bad, rate + margin) * binomial(incumbent, other, rate)
        block = betting.Block(candidate, bad, incumbent, other)
        factor = math.exp(betting.log_relative_factor(gap, margin, guess, block))
        if factor < limit:
            after = (past[0] + incumbent, past[1] + other)
            factor *= expected_wealth(gap, margin, rate, after, rest, limit / factor)
        parts.append(chance * factor)
    return math.fsum(parts)


@given(
    gap=st.sampled_from(betting.GAPS),
    margin=st.sampled_from([0.0, 0.02, 0.1]),
    rate=st.sampled_from([0.02, 0.1, 0.5]),
    is_candidate=st.lists(st.booleans(), min_size=4, max_size=12),
    cuts=st.sets(st.integers(1, 11), max_size=2),
    limit=st.sampled_from([1.2, 2.0, 20.0]),
)
@settings(max_examples=examples(50))
def test_no_grouping_of_answers_into_blocks_gains_at_the_boundary(*, gap, margin, rate, is_candidate, cuts, limit):
    """A reading that is late, or an operator that was killed before it recorded a bet, makes larger blocks.

    For each grouping of the same answers, the expected wealth where a rollback stops the bet is at most 1. So the
    chance that it ever reaches 1/alpha is at most alpha (Ville 1939), whatever the grouping is.
    """
    ends = [0, *sorted(cut for cut in cuts if cut < len(is_candidate)), len(is_candidate)]
    groups = [(sum(part), len(part) - sum(part)) for part in map(is_candidate.__getitem__, map(slice, ends, ends[1:]))]
    closable = [group for group in groups if all(group)]
    assert expected_wealth(gap, margin, rate, (20, 2), closable, limit) <= 1 + ROUNDING
