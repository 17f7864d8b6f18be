"""Records with the same question have the same key; an opening that many share is divided by what differs."""

import itertools

import pytest

from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.prepare.questions import find_questions, list_turns
from tunewright_trainer.prepare.split import SplitPercents, check_splits, describe_shares, split_records

SHARES = SplitPercents(validation=5, evaluation=10)


def record(*contents, system=None, answer="a"):
    """Return a dialogue with these turns of the user; the last answer is ``answer``."""
    turns = [ChatMessage("system", system)] if system else []
    for place, content in enumerate(contents, start=1):
        turns += [ChatMessage("user", content), ChatMessage("assistant", answer if place == len(contents) else "Hello")]
    return Record(tuple(turns), 1)


def documents(count, question="Summarise the document."):
    return [record(question, system=f"Document {n}: the number is {n}.") for n in range(count)]


def greetings(count):
    return [record("Hi", f"my order {n} is late") for n in range(count)]


def styles(count):
    return [record(f"q{n}", system=style) for n in range(count) for style in ("Be brief.", "Be kind.")]


CASES = {
    "one question about many documents": documents(1000),
    "one greeting": greetings(1000),
    "one greeting, two styles": [
        record("Hi", f"my order {n} is late", system=style) for n in range(500) for style in ("Be brief.", "Be kind.")
    ],
    "a greeting before one question about many documents": [
        record("Hi", "Summarise it.", system=f"Document {n}") for n in range(1000)
    ],
    "a greeting in a part of the records": [*greetings(500), *(record(f"q{n}") for n in range(500))],
    "greetings, and single ones": [*greetings(900), *(record("Hi", answer=f"Hello {n}") for n in range(100))],
    "two turns before the records differ": [record("Hi", "I have a question", f"q{n}") for n in range(1000)],
    "five questions about many documents": [
        record(f"q{q}", system=f"Document {n}") for n in range(400) for q in range(5)
    ],
    "documents with follow-ups": [
        *documents(1000),
        *(
            record("Summarise the document.", "Shorter.", system=f"Document {n}: the number is {n}.")
            for n in range(100)
        ),
    ],
    "different questions": [record(f"q{n}") for n in range(1000)],
}


@pytest.mark.parametrize("some", CASES.values(), ids=CASES.keys())
def test_shares_are_kept(some):
    division = split_records(some, SHARES)
    check_splits(division, SHARES, 0)
    assert describe_shares(division, SHARES) == ()


@pytest.mark.parametrize("count", [3, 10, 50])
@pytest.mark.parametrize("build", [documents, greetings])
def test_each_split_gets_a_record_of_a_small_dataset(count, build):
    check_splits(split_records(build(count), SHARES), SHARES, 0)


def contexts(some, *, system):
    """Return each record's messages before its last answer, in the form of the user's turns."""
    return {
        (item.conversation[0].content if system else "", *itertools.chain(*list_turns(item.conversation)))
        for item in some
    }


@pytest.mark.parametrize("some", CASES.values(), ids=CASES.keys())
def test_no_held_out_record_is_the_beginning_of_a_training_record(some):
    splits = split_records(some, SHARES).splits
    trained = contexts(splits[Split.TRAIN], system=True)
    beginnings = {turns[:length] for turns in trained for length in range(1, len(turns) + 1)}
    for split in (Split.VALIDATION, Split.EVALUATION):
        assert not beginnings & contexts(splits[split], system=True)


@pytest.mark.parametrize(
    "some",
    [
        styles(1000),
        styles(5),
        [record(f"q{n % 100}", answer=f"a{n}") for n in range(1000)],
        [record(f"q{n % 10}", answer=f"a{n}") for n in range(1000)],
        [record("q", f"more {n}") for n in range(4)] + [record(f"q{n}") for n in range(20)],
        [
            *(record("q", answer=f"a{n}") for n in range(100)),
            record("q", "more"),
            *(record(f"q{n}") for n in range(99)),
        ],
    ],
    ids=["two styles", "two styles, few records", "ten answers", "a hundred answers", "few share it", "a follow-up"],
)
def test_an_opening_that_is_the_question_is_not_divided(some):
    openings = [list_turns(item.conversation)[0] for item in some]
    assert [question.messages for question in find_questions(some, 3)] == openings


def test_records_about_one_document_stay_together():
    some = CASES["five questions about many documents"]
    splits = split_records(some, SHARES).splits
    held = {item.conversation[0] for item in splits[Split.EVALUATION]}
    assert not held & {item.conversation[0] for item in splits[Split.TRAIN]}


def test_the_beginning_of_other_dialogues_is_trained_on():
    begun, longer = record("Hi"), greetings(10)
    splits = split_records([begun, *longer], SHARES).splits
    assert begun in splits[Split.TRAIN]


def test_turns_are_the_users_messages_between_answers(talk):
    asked = talk(
        ("system", "s"), ("user", "q"), ("user", "and"), ("assistant", "a"), ("assistant", "b"), ("user", "more")
    )
    assert list_turns((*asked, ChatMessage("assistant", "c"))) == [
        talk(("user", "q"), ("user", "and")),
        talk(("user", "more")),
    ]
