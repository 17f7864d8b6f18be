"""Offline judgements: their three values, their messages, and how many records a margin needs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from tunewright_contracts.evaluation_report import Verdict
from tunewright_evaluator import exact_tests, statistics


def paired(better: int, worse: int, records: int) -> tuple[list[float], list[float]]:
    """Return scores of candidate and incumbent with these numbers of better and worse records."""
    same = records - better - worse
    return [1.0] * better + [0.0] * worse + [1.0] * same, [0.0] * better + [1.0] * worse + [1.0] * same


def test_an_equal_adapter_passes_with_the_default_records_and_margin():
    judgement = statistics.judge_regression(*paired(20, 20, 400), margin=0.05)
    assert judgement.verdict is Verdict.PASS
    assert (judgement.better, judgement.worse, judgement.difference) == (20, 20, 0.0)
    assert judgement.message == (
        "better on 20 and worse on 20 of 400 records (mean +0.000): not worse by 0.05 or more, at 95% confidence"
    )
    assert judgement.records_needed is None


@pytest.mark.parametrize(("confidence", "shown"), [(0.995, "99.5%"), (0.99, "99%"), (0.57, "57%")])
def test_the_message_shows_the_requested_confidence(confidence, shown):
    right = [1.0] * 400
    wrong = [0.0] * 400
    judgements = [
        statistics.judge_regression(right, right, margin=0.05, confidence=confidence),
        statistics.judge_regression(wrong, right, margin=0.05, confidence=confidence),
        statistics.judge_minimum(right, 0.9, confidence),
        statistics.judge_minimum(wrong, 0.9, confidence),
    ]
    assert [judgement.verdict for judgement in judgements] == [Verdict.PASS, Verdict.FAIL] * 2
    assert all(judgement.message.endswith(f", at {shown} confidence") for judgement in judgements)


def test_a_much_worse_adapter_fails():
    judgement = statistics.judge_regression(*paired(5, 80, 400), margin=0.05)
    assert judgement.verdict is Verdict.FAIL
    assert "worse by more than 0.05" in judgement.message


def test_no_significant_difference_is_not_a_pass():
    """The test exists to prevent this mistake: 20 records prove nothing in either direction."""
    judgement = statistics.judge_regression(*paired(2, 2, 20), margin=0.05)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.records_needed is not None
    assert judgement.records_needed > 20
    assert f"about {judgement.records_needed} records" in judgement.message


def test_the_message_for_a_small_set_says_how_many_records_a_verdict_needs():
    judgement = statistics.judge_regression(*paired(20, 20, 400), margin=0.02)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.records_needed == pytest.approx(1600, rel=0.05)


def test_the_verdict_follows_from_the_p_values():
    """The boundary between Pass and Inconclusive is a p-value of 5 %."""
    verdicts = [statistics.judge_regression(*paired(0, worse, 200), margin=0.05).verdict for worse in range(12)]
    expected = [exact_tests.non_inferiority_p_value(0, worse, 200, 0.05) <= 0.05 for worse in range(12)]
    assert [verdict is Verdict.PASS for verdict in verdicts] == expected
    assert any(expected)
    assert not all(expected)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60), st.randoms()
)
@settings(max_examples=examples(40))
def test_the_order_of_records_changes_nothing(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    judgements = [
        statistics.judge_regression([new for new, _ in rows], [old for _, old in rows], 0.1)
        for rows in (pairs, shuffled)
    ]
    assert judgements[0].verdict is judgements[1].verdict
    assert judgements[0].message == judgements[1].message


@pytest.mark.parametrize(
    ("good", "records", "minimum", "verdict"),
    [
        (174, 200, 0.8, Verdict.PASS),
        (162, 200, 0.8, Verdict.INCONCLUSIVE),
        (140, 200, 0.8, Verdict.FAIL),
        (200, 200, 0.99, Verdict.INCONCLUSIVE),
        (299, 299, 0.99, Verdict.PASS),
        (199, 200, 1.0, Verdict.FAIL),
        (200, 200, 1.0, Verdict.INCONCLUSIVE),
        (0, 200, 0.0, Verdict.PASS),
    ],
)
def test_a_minimum_has_three_values(good, records, minimum, verdict):
    judgement = statistics.judge_minimum([1.0] * good + [0.0] * (records - good), minimum)
    assert judgement.verdict is verdict
    assert judgement.difference == pytest.approx(good / records - minimum)


def test_the_message_for_a_perfect_score_says_how_many_records_a_pass_needs():
    judgement = statistics.judge_minimum([1.0] * 200, 0.99)
    assert judgement.records_needed == 300
    assert "about 300 records" in judgement.message


def test_the_message_says_when_more_records_would_not_help():
    judgement = statistics.judge_minimum([1.0] * 159 + [0.0] * 41, 0.8)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.records_needed is None
    assert "the score or the bound must change" in judgement.message


def graded(rng: np.random.Generator, records: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    old = rng.beta(4, 2, records)
    return np.clip(old + rng.normal(shift, 0.1, records), 0, 1), old


def test_graded_scores_pass_fail_or_neither():
    rng = np.random.default_rng(3)
    assert statistics.judge_regression(*graded(rng, 400), margin=0.05).verdict is Verdict.PASS
    assert statistics.judge_regression(*graded(rng, 400, shift=-0.15), margin=0.05).verdict is Verdict.FAIL
    assert statistics.judge_regression(*graded(rng, 60, shift=-0.045), margin=0.05).verdict is Verdict.INCONCLUSIVE
    assert statistics.judge_minimum(graded(rng, 400)[1], 0.6).verdict is Verdict.PASS
    assert statistics.judge_minimum(graded(rng, 400)[1], 0.75).verdict is Verdict.FAIL


def test_a_bootstrap_is_the_same_each_time():
    scores = graded(np.random.default_rng(3), 100)
    assert statistics.judge_regression(*scores, margin=0.02) == statistics.judge_regression(*scores, margin=0.02)


def test_graded_scores_without_any_difference_need_as_many_records_as_exact_ones():
    """A bootstrap of equal values has no spread, but a small sample may lack rare losses."""
    same = [0.5] * 58
    assert statistics.judge_regression(same, same, margin=0.05).verdict is Verdict.INCONCLUSIVE
    assert statistics.judge_regression([*same, 0.5], [*same, 0.5], margin=0.05).verdict is Verdict.PASS
    assert statistics.records_without_difference(0.05) == 59


def test_graded_scores_are_compared_by_their_values_not_counted():
    """The exact test counts records, so it needs scores of 0 or 1 on both sides."""
    assert statistics.judge_regression([0.9] * 100, [1.0] * 100, margin=0.2).verdict is Verdict.PASS
    assert statistics.judge_regression([1.0] * 100, [0.9] * 100, margin=0.2).verdict is Verdict.PASS


def test_graded_scores_need_as_many_records_for_a_minimum_as_exact_ones():
    assert statistics.judge_minimum([0.96] * 58, 0.95).verdict is Verdict.INCONCLUSIVE
    assert statistics.judge_minimum([0.96] * 59, 0.95).verdict is Verdict.PASS


def test_a_bootstrap_of_few_records_proves_no_failure():
    assert statistics.judge_regression([0.2] * 19, [0.7] * 19, margin=0.05).verdict is Verdict.INCONCLUSIVE
    assert statistics.judge_regression([0.2] * 20, [0.7] * 20, margin=0.05).verdict is Verdict.FAIL


def test_bootstrap_bounds_have_the_stated_coverage():
    """Each one-sided 95 % bound of a skewed mean misses it in about 5 % of samples."""
    rng = np.random.default_rng(11)
    true_mean, runs = 2 / 3, min(400, examples(200))
    bounds = [statistics.bca_bounds(rng.beta(4, 2, 120), 0.05, seed=run, resamples=1000) for run in range(runs)]
    assert 0.02 < sum(lower > true_mean for lower, _ in bounds) / runs < 0.09
    assert 0.02 < sum(upper < true_mean for _, upper in bounds) / runs < 0.09


def test_bootstrap_bounds_correct_for_skewness():
    """The mean of an exponential distribution needs bounds that are clearly asymmetric."""
    values = np.quantile(np.random.default_rng(1).exponential(size=4000), np.linspace(0.01, 0.99, 60)) / 10
    lower, upper = statistics.bca_bounds(values, 0.05, resamples=8000)
    assert upper - values.mean() > 1.1 * (values.mean() - lower)


@pytest.mark.parametrize(
    ("margin", "discordance", "needed"),
    [(0.03, 0.05, 400), (0.05, 0.05, 170), (0.05, 0.1, 280), (0.02, 0.05, 840)],
)
def test_records_needed_agree_with_the_exact_power_table(margin, discordance, needed):
    """The power table has 80 to 82 % at (n 400, m .03, 5 %) and (800, .02, 5 %)."""
    assert statistics.records_needed(margin, discordance) == needed


@given(st.floats(0.005, 0.2), st.floats(0.0, 0.5))
def test_a_narrower_margin_or_more_disagreement_never_needs_fewer_records(margin, discordance):
    needed = statistics.records_needed(margin, discordance)
    assert statistics.records_needed(margin / 1.5, discordance) >= needed
    assert statistics.records_needed(margin, min(discordance + 0.2, 1.0)) >= needed


def test_records_are_rounded_up_to_two_figures():
    for margin in (0.011, 0.023, 0.047):
        assert re.fullmatch(r"\d\d?0*", str(statistics.records_needed(margin, 0.1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.judge_regression([1.0], [1.0, 0.0], 0.05), "1 scores of the candidate and 2"),
        (lambda: statistics.judge_regression([], [], 0.05), "no scores of the candidate"),
        (lambda: statistics.judge_regression([1.0], [1.0], 1.0), "margin 1.0 must be"),
        (lambda: statistics.judge_minimum([0.5, 1.5], 0.5), "score 1.5 of record 1 of the candidate is outside"),
        (lambda: statistics.judge_minimum([float("nan")], 0.5), "score nan of record 0"),
        (lambda: statistics.judge_minimum([1.0], -0.5), "minimum -0.5"),
        (lambda: statistics.judge_minimum([1.0], 0.5, 1.0), "confidence 1.0"),
        (lambda: statistics.records_needed(0.0, 0.1), "no number of records"),
    ],
)
def test_unusable_input_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
