"""What was not read is said in a few short sentences."""

import pytest

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.prepare.notes import (
    SHOWN_KEYS,
    SHOWN_NOTES,
    describe_context,
    describe_reading,
    limit_notes,
    rank_keys,
)
from tunewright_trainer.prepare.records import ReadResult


def read(**facts):
    return ReadResult((), (), 0, **facts)


@pytest.mark.parametrize(
    ("facts", "notes"),
    [
        ({"formats": {DatasetFormat.MESSAGES: 7}}, ()),
        (
            {"formats": {DatasetFormat.PROMPT_COMPLETION: 1, DatasetFormat.MESSAGES: 7}},
            ("The formats are mixed: 7 Messages records and 1 PromptCompletion record.",),
        ),
        ({"empty_files": ("a.jsonl",)}, ("1 file without records: a.jsonl.",)),
        ({"empty_files": ("a", "b", "c", "d")}, ("4 files without records: a, b, c, ….",)),
        ({"ignored_keys": {"id": 7}}, ("Keys that were not read: id (7 records).",)),
        (
            {"ignored_keys": {"a": 1, "b": 9, "messages[].id": 3, "d": 1, "e": 1}},
            ("Keys that were not read: b (9 records), messages[].id (3 records), a (1 record), and 2 more.",),
        ),
    ],
)
def test_what_was_not_read(facts, notes):
    assert describe_reading(read(**facts)) == notes


def test_the_most_frequent_keys_are_kept_and_shortened():
    ranked = rank_keys({f"key-{number:02}": number for number in range(30)} | {"x" * 100: 99, "half \ud800": 98})
    assert list(ranked.items())[:3] == [("x" * 48 + "…", 99), ("half ?", 98), ("key-29", 29)]
    assert len(ranked) == SHOWN_KEYS


def test_notes_are_few_and_short():
    assert limit_notes(["a.", "b."]) == ("a.", "b.")
    notes = limit_notes(f"{number} {'é' * 500}" for number in range(SHOWN_NOTES + 2))
    assert len(notes) == SHOWN_NOTES
    assert notes[-1] == "3 more notes are in the pod's log."
    assert all(len(note.encode()) <= 283 for note in notes)


@pytest.mark.parametrize(
    ("answers", "notes"),
    [
        (0, ()),
        (
            1,
            ("1 answer before the last one of a record is not learned: the chat template renders",),
        ),
        (
            7,
            ("7 answers before the last one of a record are not learned: the chat template renders",),
        ),
    ],
)
def test_answers_that_the_template_makes_context_are_counted(answers, notes):
    found = describe_context(answers)
    assert len(found) == len(notes)
    assert all(note.startswith(begin) for note, begin in zip(found, notes, strict=True))
