"""Held-out records are parsed strictly and chosen by content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.document import ContractError
from tunewright_evaluator.records import Record, choose_records, parse_records


def _line(question: str, answer: str = "a") -> str:
    return json.dumps({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})


def test_parse():
    (record,) = parse_records(_line("q", "a") + "\n\n", "f")
    assert record == Record(1, ({"role": "user", "content": "q"},), "a")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_record_with_a_line_separator_of_unicode_is_one_line(separator):
    line = json.dumps(
        {"messages": [{"role": "user", "content": f"a{separator}b"}, {"role": "assistant", "content": "c"}]},
        ensure_ascii=False,
    )
    (record,) = parse_records(f"{line}\n", "file")
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
        parse_records(_line("q") + "\n" + line, "file")


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
        parse_records(_line("q") + "\n" + json.dumps({"messages": messages}), "file")


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
