"""Splits depend only on a record's question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_trainer.chat.conversation import ChatMessage, hash_conversation
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare import split
from tunewright_trainer.prepare.split import SplitPercents, check_splits, choose_split, opening_question, split_records

text = st.text(min_size=1, max_size=8)
turn = st.builds(ChatMessage, st.sampled_from(["user", "assistant"]), text)
# Validated conversations end with an answer.
records = st.lists(
    st.builds(
        lambda turns, answer: Record((*turns, ChatMessage("assistant", answer)), 1),
        st.lists(turn, min_size=1, max_size=2),
        text,
    ),
    max_size=30,
)
percents = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: SplitPercents(*pair))


def positions(splits):
    return {hash_conversation(record.conversation): name for name, group in splits.items() for record in group}


@given(records, records, percents)
def test_adding_records_does_not_move_others(first, more, shares):
    before, after = positions(split_records(first, shares)), positions(split_records(more + first, shares))
    assert before.items() <= after.items()


@given(records, percents)
def test_same_question_never_in_two_splits(some, shares):
    answered_again = [Record((*record.conversation[:-1], ChatMessage("assistant", "other")), 1) for record in some]
    splits = split_records(some + answered_again, shares)
    by_question: dict = {}
    for name, group in splits.items():
        for record in group:
            by_question.setdefault(hash_conversation(record.conversation[:-1]), set()).add(name)
    assert all(len(found) == 1 for found in by_question.values())


@given(records, percents)
def test_neither_a_system_prompt_nor_a_further_turn_moves_a_record(some, shares):
    questions = [Record((ChatMessage("user", "q"), *record.conversation), 1) for record in some]
    for record in questions:
        prompted = (ChatMessage("system", "Be brief."), *record.conversation)
        assert choose_split(prompted, shares) is choose_split(record.conversation, shares)
    asked = (ChatMessage("user", "q"), ChatMessage("assistant", "a"))
    longer = (*asked, ChatMessage("user", "more"), ChatMessage("assistant", "b"))
    assert choose_split(asked, shares) is choose_split(longer, shares)


@given(records, st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_validation_share_does_not_change_the_held_out_set(some, evaluation, one, other):
    held_out = [
        [
            choose_split(record.conversation, SplitPercents(validation, evaluation)) is Split.EVALUATION
            for record in some
        ]
        for validation in (one, other)
    ]
    assert held_out[0] == held_out[1]


@given(records, percents)
def test_every_record_is_in_one_split(some, shares):
    assert sum(map(len, split_records(some, shares).values())) == len(some)


def test_shares_are_about_right():
    some = [Record((ChatMessage("user", str(number)), ChatMessage("assistant", "a")), 1) for number in range(2000)]
    splits = split_records(some, SplitPercents(validation=5, evaluation=10))
    # Binomial: 4 standard deviations are 54 and 39 records.
    assert abs(len(splits[Split.EVALUATION]) - 200) < 54
    assert abs(len(splits[Split.VALIDATION]) - 100) < 39


def asks(number: int):
    return (ChatMessage("user", str(number)), ChatMessage("assistant", "a"))


@pytest.mark.parametrize("shares", [SplitPercents(5, 10), SplitPercents(1, 50), SplitPercents(99, 1)])
def test_the_hash_of_the_question_gives_a_position_between_0_and_100(shares):
    for number in range(2000):
        position = int(hash_conversation((ChatMessage("user", str(number)),))[:8].hex(), 16) / 2**64 * 100
        expected = Split.TRAIN
        if position < shares.evaluation:
            expected = Split.EVALUATION
        elif position < shares.evaluation + shares.validation:
            expected = Split.VALIDATION
        assert choose_split(asks(number), shares) is expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (SplitPercents(validation=0, evaluation=26), Split.EVALUATION),
        (SplitPercents(validation=1, evaluation=25), Split.VALIDATION),
        (SplitPercents(validation=5, evaluation=20), Split.TRAIN),
    ],
)
def test_a_share_ends_just_below_its_percentage(monkeypatch, shares, expected):
    monkeypatch.setattr(split, "hash_conversation", lambda _conversation: b"\x40" + bytes(31))
    assert choose_split(asks(1), shares) is expected, "a quarter of all hashes are lower: the position is 25"


def test_an_empty_split_is_reported_with_counts_and_remedy(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    shares = SplitPercents(validation=0, evaluation=10)
    with pytest.raises(TrainerError) as error:
        check_splits({Split.TRAIN: some, Split.VALIDATION: [], Split.EVALUATION: []}, shares, duplicates=99)
    assert error.value.reason is Reason.TOO_FEW_RECORDS
    assert str(error.value) == (
        "no records for evaluation: 1 unique records (after 99 duplicates were dropped) were split into train 1, "
        "validation 0, evaluation 0; add records, or set dataset.split.evaluationPercent to 0"
    )


def test_a_split_of_zero_percent_may_be_empty(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    check_splits({Split.TRAIN: some, Split.VALIDATION: [], Split.EVALUATION: []}, SplitPercents(0, 0), 0)


@pytest.mark.parametrize(
    ("shares", "empty"), [(SplitPercents(1, 0), "validation"), (SplitPercents(0, 1), "evaluation")]
)
def test_a_split_of_one_percent_must_not_be_empty(talk, shares, empty):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    with pytest.raises(TrainerError, match=f"no records for {empty}:"):
        check_splits({Split.TRAIN: some, Split.VALIDATION: [], Split.EVALUATION: []}, shares, 0)


def test_all_held_out_leaves_nothing_to_train(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    with pytest.raises(TrainerError, match="no records for train:"):
        check_splits({Split.TRAIN: [], Split.VALIDATION: [], Split.EVALUATION: some}, SplitPercents(0, 100), 0)


def test_the_opening_question_is_all_before_the_first_answer(talk):
    asked = (("user", "q"), ("user", "and"))
    rest = (("assistant", "a"), ("user", "more"), ("assistant", "b"))
    assert opening_question(talk(("system", "s"), *asked, *rest)) == talk(*asked)
    assert opening_question(talk(("assistant", "hello"), *asked, *rest)) == talk(("assistant", "hello"), *asked)
