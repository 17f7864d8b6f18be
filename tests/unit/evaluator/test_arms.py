"""The arms: what is asked, and in which order known and new answers are joined."""

from __future__ import annotations

from tunewright_evaluator.answer_store import Recalled
from tunewright_evaluator.arms import Arm
from tunewright_evaluator.records import Record

RECORDS = tuple(Record(number, ({"role": "user", "content": f"q{number}"},), "a") for number in range(4))


def arm(*known: int) -> Arm:
    answers = {RECORDS[number].question: f"old{number}" for number in known}
    return Arm("incumbent", "support--1", RECORDS, recalled=Recalled(answers))


def test_only_records_without_an_answer_are_missing():
    assert arm(0, 2).missing == (RECORDS[1], RECORDS[3])
    assert arm(0, 1, 2, 3).missing == ()


def test_known_and_new_answers_are_joined_in_the_order_of_the_records():
    assert arm(0, 2).join(["new1", "new3"]) == ["old0", "new1", "old2", "new3"]
    assert arm().join(["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_an_empty_answer_is_a_known_answer():
    recalled = Recalled({RECORDS[0].question: ""})
    assert Arm("base", "base-model", RECORDS[:1], recalled=recalled).join([]) == [""]


def test_a_repeated_question_gets_each_of_its_answers():
    twice = Arm("base", "base-model", (RECORDS[0], RECORDS[1], RECORDS[0]))
    assert twice.join(["a", "b", "c"]) == ["a", "b", "c"]
