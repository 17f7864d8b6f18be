"""One metric over the arms: the means, the numbers of better and worse records, and the verdict."""

import itertools

import pytest

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.comparison import compare_arms, worst_verdict
from tunewright_evaluator.records import Record

RECORDS = [Record(index, ({"role": "user", "content": f"q{index}"},), "yes") for index in range(1, 11)]


def answers(good: int) -> list[str]:
    return ["yes"] * good + ["no"] * (len(RECORDS) - good)


def exact_match(**bounds: str) -> MetricSpec:
    return MetricSpec.model_validate({"type": "ExactMatch", **bounds})


def test_means_of_all_arms_and_numbers_of_better_and_worse_records():
    arms = {"candidate": answers(7)[::-1], "incumbent": answers(5), "base": answers(1)}
    result = compare_arms(exact_match(), RECORDS, arms, 0.95)
    assert (result.candidate, result.incumbent, result.base) == (0.7, 0.5, 0.1)
    assert (result.candidate_better, result.candidate_worse) == (5, 3), "both were right on 2 of 10"
    assert (result.verdict, result.message) == (Verdict.PASS, "only measured, the metric has no bound")
    assert result.samples == 10


def test_a_missing_arm_has_no_score():
    result = compare_arms(exact_match(), RECORDS, {"candidate": answers(7)}, 0.95)
    assert (result.incumbent, result.base) == (None, None)
    assert (result.candidate_better, result.candidate_worse) == (None, None)


def test_the_message_has_both_bounds_and_the_worse_verdict_counts():
    arms = {"candidate": answers(0), "incumbent": answers(0)}
    result = compare_arms(exact_match(minimum="0.9", maxRegression="0.1"), RECORDS, arms, 0.95)
    minimum, regression = result.message.split("; ", 1)
    assert "below 0.9" in minimum
    assert "proven neither within 0.1" in regression
    assert result.verdict is Verdict.FAIL
    assert result.records_needed is not None


@pytest.mark.parametrize("count", [9, 11])
def test_a_wrong_number_of_answers_is_refused(count):
    with pytest.raises(ValueError, match="argument 2"):
        compare_arms(exact_match(), RECORDS, {"candidate": ["yes"] * count}, 0.95)


ORDER = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]


@pytest.mark.parametrize(("mild", "severe"), itertools.combinations(ORDER, 2))
def test_the_more_severe_of_two_verdicts_counts_in_any_order(mild, severe):
    assert worst_verdict([mild, severe]) is severe
    assert worst_verdict([severe, mild]) is severe


def test_no_verdict_is_a_pass():
    assert worst_verdict([]) is Verdict.PASS
