"""Splits depend only on a record's question."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examples import examples
from tunewright_trainer.chat.conversation import ChatMessage, hash_conversation
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare.questions import Question, opening_question
from tunewright_trainer.prepare.split import (
    Division,
    SplitPercents,
    check_splits,
    choose_split,
    describe_shares,
    split_records,
)

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
    return {record.conversation: name for name, group in splits.items() for record in group}


@given(records, records, percents)
def test_the_order_of_the_records_moves_none(some, more, shares):
    assert positions(split_records(some + more, shares).splits) == positions(split_records(more + some, shares).splits)


def split_of(question, shares):
    return choose_split(hash_conversation(question), shares)


def numbered(first, last):
    return [Record(asks(number), 1) for number in range(first, last)]


@pytest.mark.parametrize(
    "shares", [SplitPercents(5, 10), SplitPercents(1, 1), SplitPercents(0, 10), SplitPercents(40, 40)]
)
def test_adding_records_moves_only_those_at_the_ends_of_the_held_out_splits(shares):
    most = min(400, examples(150))
    every = numbered(0, most)
    before = positions(split_records(every[:4], shares).splits)
    moved = 0
    for count in range(5, most):
        after = positions(split_records(every[:count], shares).splits)
        step = sum(after[record] is not name for record, name in before.items())
        assert step <= 3
        moved += step
        before = after
    assert moved <= 40, f"of {most}, while the shares of few records change most"


@pytest.mark.parametrize(("count", "more"), [(100, 1), (100, 100), (1000, 1000)])
def test_adding_records_to_splits_that_have_some_moves_none(count, more):
    shares = SplitPercents(5, 10)
    before = positions(split_records(numbered(0, count), shares).splits)
    assert before.items() <= positions(split_records(numbered(0, count + more), shares).splits).items()


@pytest.mark.parametrize("count", [40, 50, 100, 200])
def test_no_share_of_small_datasets_is_off_by_more_than_half(count):
    shares = SplitPercents(5, 10)
    for start in range(0, 2000, 100):
        assert describe_shares(split_records(numbered(start, start + count), shares), shares) == ()


@pytest.mark.parametrize("count", [3, 4, 10, 20])
@pytest.mark.parametrize("shares", [SplitPercents(5, 10), SplitPercents(1, 1), SplitPercents(45, 45)])
def test_each_split_has_a_record_if_there_are_enough(count, shares):
    for start in range(0, 2000, 50):
        division = split_records(numbered(start, start + count), shares)
        assert all(division.splits.values())
        check_splits(division, shares, 0)


@given(records, percents)
def test_same_question_never_in_two_splits(some, shares):
    answered_again = [Record((*record.conversation[:-1], ChatMessage("assistant", "other")), 1) for record in some]
    splits = split_records(some + answered_again, shares).splits
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
        assert split_of(opening_question(prompted), shares) is split_of(opening_question(record.conversation), shares)
    asked = (ChatMessage("user", "q"), ChatMessage("assistant", "a"))
    longer = (*asked, ChatMessage("user", "more"), ChatMessage("assistant", "b"))
    assert split_of(opening_question(asked), shares) is split_of(opening_question(longer), shares)


@given(records, st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_validation_share_does_not_change_the_held_out_set(some, evaluation, one, other):
    held_out = [
        [
            split_of(opening_question(record.conversation), SplitPercents(validation, evaluation)) is Split.EVALUATION
            for record in some
        ]
        for validation in (one, other)
    ]
    assert held_out[0] == held_out[1]


@given(records, percents)
def test_every_record_is_in_one_split(some, shares):
    assert sum(map(len, split_records(some, shares).splits.values())) == len(some)


def test_shares_are_about_right():
    some = [Record((ChatMessage("user", str(number)), ChatMessage("assistant", "a")), 1) for number in range(2000)]
    splits = split_records(some, SplitPercents(validation=5, evaluation=10)).splits
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
        assert split_of(opening_question(asks(number)), shares) is expected


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (SplitPercents(validation=0, evaluation=26), Split.EVALUATION),
        (SplitPercents(validation=1, evaluation=25), Split.VALIDATION),
        (SplitPercents(validation=5, evaluation=20), Split.TRAIN),
    ],
)
def test_a_share_ends_just_below_its_percentage(shares, expected):
    digest = b"\x40" + bytes(31)
    assert choose_split(digest, shares) is expected, "a quarter of all hashes are lower: the position is 25"


def opening(record):
    return Question(opening_question(record.conversation))


def divided(**splits):
    """Return a division of records by their opening questions."""
    chosen = {name: splits.get(name, []) for name in Split}
    questions = {name: Counter(map(opening, group)) for name, group in chosen.items()}
    return Division(chosen, questions)


def test_an_empty_split_is_reported_with_counts_and_remedy(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    shares = SplitPercents(validation=0, evaluation=10)
    with pytest.raises(TrainerError) as error:
        check_splits(divided(train=some), shares, duplicates=99)
    assert error.value.reason is Reason.TOO_FEW_RECORDS
    assert str(error.value) == (
        "no records for evaluation: 1 unique records (after 99 duplicates were dropped) were split into train 1, "
        "validation 0, evaluation 0; add records, or set dataset.split.evaluationPercent to 0"
    )


def test_a_split_of_zero_percent_may_be_empty(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    check_splits(divided(train=some), SplitPercents(0, 0), 0)


@pytest.mark.parametrize(
    ("shares", "empty"), [(SplitPercents(1, 0), "validation"), (SplitPercents(0, 1), "evaluation")]
)
def test_a_split_of_one_percent_must_not_be_empty(talk, shares, empty):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    with pytest.raises(TrainerError, match=f"no records for {empty}:"):
        check_splits(divided(train=some), shares, 0)


def test_all_held_out_leaves_nothing_to_train(talk):
    some = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    with pytest.raises(TrainerError, match="no records for train:"):
        check_splits(divided(evaluation=some), SplitPercents(0, 100), 0)


def test_one_question_with_many_answers_is_reported(talk):
    some = [Record(talk(("user", "q"), ("assistant", str(number))), 1) for number in range(9)]
    shares = SplitPercents(5, 10)
    with pytest.raises(TrainerError) as error:
        check_splits(split_records(some, shares), shares, 0)
    assert "9 unique records with the same question were split into" in str(error.value)
    assert "add records with other questions, or " in str(error.value)


@pytest.mark.parametrize(
    ("train", "validation", "evaluation", "notes"),
    [
        (85, 5, 10, ()),
        (87, 3, 10, ()),
        (78, 7, 15, ()),
        (
            8,
            1,
            1,
            ("The validation split has 1 of 10 records (10.0 %) instead of 5 %: each split has at least one record.",),
        ),
        (
            79,
            1,
            20,
            (
                (
                    "The validation split has 1 of 100 records (1.0 %) instead of 5 %: the hash of a question chooses "
                    "its split, so that the shares of only 100 questions vary."
                ),
                (
                    "The evaluation split has 20 of 100 records (20.0 %) instead of 10 %: the hash of a question "
                    "chooses its split, so that the shares of only 100 questions vary."
                ),
            ),
        ),
    ],
)
def test_a_share_that_is_off_by_more_than_half_is_explained(train, validation, evaluation, notes):
    ends = [0, train, train + validation, train + validation + evaluation]
    groups = [numbered(first, last) for first, last in itertools.pairwise(ends)]
    division = divided(train=groups[0], validation=groups[1], evaluation=groups[2])
    assert describe_shares(division, SplitPercents(5, 10)) == notes


def test_a_large_question_explains_a_share(talk):
    some = [Record(talk(("user", "q"), ("assistant", str(number))), 1) for number in range(50)]
    division = divided(train=numbered(0, 45), validation=numbered(45, 50), evaluation=some)
    assert describe_shares(division, SplitPercents(5, 10)) == (
        (
            "The evaluation split has 50 of 100 records (50.0 %) instead of 10 %: records with the same question stay "
            "in one split, and one question has 50 records."
        ),
    )


def test_beginnings_of_other_dialogues_explain_a_share():
    train, evaluation = numbered(0, 96), numbered(96, 100)
    questions = {
        Split.TRAIN: Counter({Question((), continued=True): 60, **Counter(map(opening, train[60:]))}),
        Split.EVALUATION: Counter(map(opening, evaluation)),
    }
    division = Division({Split.TRAIN: train, Split.EVALUATION: evaluation, Split.VALIDATION: []}, questions)
    assert describe_shares(division, SplitPercents(0, 10)) == (
        (
            "The evaluation split has 4 of 100 records (4.0 %) instead of 10 %: 60 records are the beginning of other "
            "dialogues, so they are trained on."
        ),
    )


def test_the_opening_question_is_all_before_the_first_answer(talk):
    asked = (("user", "q"), ("user", "and"))
    rest = (("assistant", "a"), ("user", "more"), ("assistant", "b"))
    assert opening_question(talk(("system", "s"), *asked, *rest)) == talk(*asked)
    assert opening_question(talk(("assistant", "hello"), *asked, *rest)) == talk(("assistant", "hello"), *asked)
