"""Which records are scored, what the scores are, and when a minimum is missed."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_trainer.evaluate.scoring import Answers, choose_held_out, find_below_minimum, score_answers


@pytest.fixture
def answers(talk):
    records = choose_held_out([talk(("user", f"q{n}"), ("assistant", f"a{n}")) for n in range(4)], 10)
    return [Answers(record, base="?", tuned=record.reference if record.index < 4 else "?") for record in records]


def test_the_reference_is_the_last_turn_and_never_shown(talk):
    (record,) = choose_held_out([talk(("system", "s"), ("user", "q"), ("assistant", "a"))], 1)
    assert record.reference == "a"
    assert [message["role"] for message in record.messages] == ["system", "user"]


def test_choice_depends_on_content_only(talk):
    conversations = [talk(("user", f"q{n}"), ("assistant", "a")) for n in range(50)]
    asked = [
        {record.messages[0]["content"] for record in choose_held_out(some, 10)}
        for some in (conversations, conversations[::-1])
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 10


def test_means_with_the_adapter_off_and_on(answers):
    (score,) = score_answers([MetricSpec(type="ExactMatch")], answers)
    assert (score.base, score.tuned, score.samples) == (0.0, 0.75, 4)


@pytest.mark.parametrize(("minimum", "missed"), [(None, 0), ("0.75", 0), ("0.76", 1)])
def test_minimum(answers, minimum, missed):
    metrics = [MetricSpec(type="ExactMatch", minimum=minimum)]
    assert len(find_below_minimum(metrics, score_answers(metrics, answers))) == missed


def test_a_miss_is_told_with_both_scores(answers):
    metrics = [MetricSpec(type="ExactMatch", minimum="0.9")]
    assert find_below_minimum(metrics, score_answers(metrics, answers)) == [
        "ExactMatch is 0.750 on 4 held-out records, under its minimum 0.9 (base model: 0.000)"
    ]
