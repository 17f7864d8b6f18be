"""A message shows a few problems, each shortened; a file lists all of them."""

import json

import pytest

from tunewright_contracts.storage_uri import StorageURI
from tunewright_trainer.prepare.problems import SHOWN_PROBLEMS, Problem, build_problem, list_problems, show_problems
from tunewright_trainer.prepare.validate import RecordError

RUN = StorageURI.parse("s3://bucket/run")
LIST = RUN.join("invalid-records.jsonl")


def test_the_first_few_are_shown_and_each_is_cut():
    problems = [Problem("tickets/a.jsonl", number, "é" * 200) for number in range(1, 9)]
    shown = show_problems(problems)
    assert len(shown) == SHOWN_PROBLEMS
    assert shown[0].startswith("tickets/a.jsonl:1: é")
    assert all(len(text.encode()) <= 143 and text.endswith("…") for text in shown)


def test_a_short_one_is_shown_whole():
    assert show_problems([Problem("a", 7, "has no messages")]) == ("a:7: has no messages",)


@pytest.mark.parametrize(
    ("reason", "kept"), [("x" * 500, "x" * 500), ("x" * 501, "x" * 500 + "…"), ("half \ud800", "half ?")]
)
def test_a_reason_is_cut_and_can_be_encoded(reason, kept):
    assert build_problem("a", 1, RecordError(reason)) == Problem("a", 1, kept)


@pytest.mark.parametrize(("count", "more"), [(2, []), (12_345, [{"more": 12_343}])])
def test_the_list_says_how_many_it_leaves_out(store, count, more):
    problems = [Problem("a", 1, "bad"), Problem("b", 2, "worse")]
    assert list_problems(store, RUN, problems, count) == str(LIST)
    assert [json.loads(line) for line in store.read(LIST).splitlines()] == [
        {"file": "a", "line": 1, "reason": "bad"},
        {"file": "b", "line": 2, "reason": "worse"},
        *more,
    ]


def test_no_problems_no_list(store):
    assert list_problems(store, RUN, [], 0) == ""
    assert not store.exists(LIST)
