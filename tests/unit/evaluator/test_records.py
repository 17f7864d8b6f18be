"""Held-out records are parsed strictly and chosen by content."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.document import ContractError
from tunewright_evaluator.records import Record, choose_records, parse_records


def _line(question: str, answer: str = "a") -> str:
    return json.dumps({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})


def test_parse():
    (record,) = parse_records((_line("q", "a") + "\n\n").encode(), "f")
    assert record == Record(1, ({"role": "user", "content": "q"},), "a")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_record_with_a_line_separator_of_unicode_is_one_line(separator):
    line = json.dumps(
        {"messages": [{"role": "user", "content": f"a{separator}b"}, {"role": "assistant", "content": "c"}]},
        ensure_ascii=False,
    )
    (record,) = parse_records(f"{line}\n".encode(), "file")
    assert record.messages[0]["content"] == f"a{separator}b"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "q"}]}',
        '{"messages": [{"role": "assistant", "content": "a"}]}',
    ],
)
def test_parse_names_the_line(line):
    with pytest.raises(ContractError, match=r"^file:2: "):
        parse_records((_line("q") + "\n" + line).encode(), "file")


@pytest.mark.parametrize(
    ("role", "content", "what"),
    [
        ("user", [{"type": "text", "text": "q"}], r"content of message 1 is \[\{.*, not text"),
        ("user", None, "content of message 1 is null, not text"),
        ("user", 7, "content of message 1 is 7, not text"),
        (None, "q", "role of message 1 is null, not text"),
    ],
)
def test_content_that_is_no_text_is_refused(role, content, what):
    messages = [{"role": role, "content": content}, {"role": "assistant", "content": "a"}]
    with pytest.raises(ContractError, match=rf"^file:2: .*{what}.*both text, or remove the record$"):
        parse_records((_line("q") + "\n" + json.dumps({"messages": messages})).encode(), "file")


def _text(record: str = "", question: str = "", answer: str = "") -> bytes:
    """Return a record with more keys in it, in its question and in its answer."""
    messages = f'{{"role": "user", "content": "q"{question}}}, {{"role": "assistant", "content": "a"{answer}}}'
    return f'{{"messages": [{messages}]{record}}}'.encode()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (_text(', "tools": [{"type": "function"}]'), "has tools, which is not supported: tool calls"),
        (_text(', "weight": 2'), "has the weight 2, which is not supported"),
        (_text(answer=', "reasoning_content": "r"'), "message 2 has reasoning_content, which is not supported"),
        (_text(question=', "name": "Ann"'), "message 1 has name, which is not supported"),
        (_text(answer=', "weight": 0'), "the last message has weight 0, so it is not a reference answer"),
        (_text(answer=', "content": "b"'), 'an object has the key "content" twice'),
        (_text(', "score": NaN'), "not JSON: NaN is not a JSON value"),
        (b"\xff", "not UTF-8: byte 0xff at position 1"),
        (b"7", "not a JSON object"),
    ],
)
def test_what_would_change_the_meaning_of_a_record_is_refused(line, problem):
    with pytest.raises(ContractError, match=rf"^file:2: .*{re.escape(problem)}.*; correct or remove the record$"):
        parse_records(_text() + b"\n" + line, "file")


def test_other_keys_and_keys_without_a_value_are_accepted():
    line = _text(', "id": 7, "tools": []', question=', "weight": 0', answer=', "tool_calls": null, "weight": 1')
    assert parse_records(line, "f") == [Record(1, ({"role": "user", "content": "q"},), "a")]


@given(st.integers(0, 30), st.randoms())
def test_choice_depends_on_content_and_not_on_order(maximum, random):
    records = [Record(number, ({"role": "user", "content": f"question {number}"},), "a") for number in range(20)]
    chosen = choose_records(records, maximum)
    shuffled = list(records)
    random.shuffle(shuffled)
    assert choose_records(shuffled, maximum) == chosen
    assert len(chosen) == min(maximum, 20)


def test_a_larger_choice_contains_the_smaller():
    records = [Record(number, ({"role": "user", "content": f"question {number}"},), "a") for number in range(20)]
    assert {record.index for record in choose_records(records, 5)} <= {
        record.index for record in choose_records(records, 9)
    }
