"""The scores, missed minimums, and refused settings."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.evaluate.metrics import (
    Answers,
    check_metrics,
    find_below_minimum,
    sample_rows,
    score_answers,
)
from tunewright_trainer.evaluate.scoring import choose_held_out


@pytest.fixture
def answers(talk):
    records = choose_held_out([talk(("user", f"q{n}"), ("assistant", f"a{n}")) for n in range(4)], 10)
    return [Answers(record, base="?", tuned=record.reference if record.index < 4 else "?") for record in records]


def test_means_with_the_adapter_off_and_on(answers):
    (score,) = score_answers([MetricSpec(type="ExactMatch")], answers)
    assert (score.base, score.tuned, score.samples) == (0.0, 0.75, 4)


@pytest.mark.parametrize(("minimum", "missed"), [(None, 0), ("0.75", 0), ("0.76", 1)])
def test_minimum(answers, minimum, missed):
    metrics = [MetricSpec(type="ExactMatch", minimum=minimum)]
    assert len(find_below_minimum(metrics, score_answers(metrics, answers))) == missed


def test_a_missed_minimum_is_reported_with_both_scores(answers):
    metrics = [MetricSpec(type="ExactMatch", minimum="0.9")]
    assert find_below_minimum(metrics, score_answers(metrics, answers)) == [
        "ExactMatch is 0.750 on 4 held-out records, below its minimum of 0.9 (base model: 0.000)"
    ]


def test_usable_settings_pass():
    check_metrics((MetricSpec(type="ExactMatch"), MetricSpec(type="JSONSchema", schema={"type": "object"})))


def test_unusable_settings_are_an_error_of_the_user():
    with pytest.raises(TrainerError, match="JSONSchema: its schema is not a JSON Schema") as error:
        check_metrics((MetricSpec(type="ExactMatch"), MetricSpec(type="JSONSchema", schema={"type": 7})))
    assert (error.value.reason, error.value.retryable) == (Reason.INVALID_METRIC, False)


def test_samples_show_the_question_the_reference_and_both_answers(answers):
    assert list(sample_rows(answers))[3] == {
        "record": 4,
        "messages": [{"role": "user", "content": "q3"}],
        "reference": "a3",
        "base": "?",
        "tuned": "?",
    }
