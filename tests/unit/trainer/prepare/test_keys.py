"""A key that changes the meaning of a record is honoured or refused by name; other keys are counted."""

import re

import pytest

from tunewright_contracts.dataset_lines import InvalidRecordError
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.prepare.formats import parse_record
from tunewright_trainer.prepare.keys import list_ignored_keys

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
MESSAGES, PROMPT = DatasetFormat.MESSAGES, DatasetFormat.PROMPT_COMPLETION
EMPTY = [None, "", [], {}]


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("tools", [TOOL], "tool calls are neither learned nor scored"),
        ("functions", [TOOL], "tool calls are neither learned nor scored"),
        ("function_call", "auto", "tool calls are neither learned nor scored"),
        ("reasoning_content", "hm", "reasoning is neither learned nor scored"),
        ("images", ["cat.png"], "only text is learned and scored"),
        ("audio", {"id": "x"}, "only text is learned and scored"),
        ("system", "Be brief.", 'with the role "system"'),
        ("rejected", "b", "preferences are neither learned nor scored"),
        ("documents", [{"text": "x"}], "write it into a message's content"),
        ("chat_template_kwargs", {"enable_thinking": True}, "the chat template is the BaseModel's"),
        ("suffix", "x", "text between two parts"),
    ],
)
@pytest.mark.parametrize(
    ("record_format", "record"),
    [(MESSAGES, {"messages": [USER, ASSISTANT]}), (PROMPT, {"prompt": "q", "completion": "a"})],
)
def test_a_records_key_is_refused_by_name_unless_it_is_empty(talk, record_format, record, key, value, advice):
    with pytest.raises(InvalidRecordError, match=f"^has {key}, which is not supported: .*{re.escape(advice)}"):
        parse_record({**record, key: value}, record_format)
    for empty in EMPTY:
        assert parse_record({**record, key: empty}, record_format) == talk(("user", "q"), ("assistant", "a"))
        assert not list_ignored_keys({**record, key: empty}, record_format)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tool_calls", [{"id": "1"}]),
        ("function_call", {"name": "f"}),
        ("tool_call_id", "1"),
        ("reasoning_content", "hm"),
        ("thinking", "hm"),
        ("images", ["cat.png"]),
        ("audio", {"id": "x"}),
        ("name", "Ada"),
        ("refusal", "no"),
        ("prefix", True),
        ("train", False),
        ("loss", 0),
    ],
)
@pytest.mark.parametrize(
    ("record_format", "build"),
    [
        (MESSAGES, lambda message: {"messages": [USER, message]}),
        (PROMPT, lambda message: {"prompt": [USER], "completion": [message]}),
        (PROMPT, lambda message: {"prompt": "q", "completion": [message]}),
    ],
)
def test_a_messages_key_is_refused_by_name_unless_it_is_empty(talk, record_format, build, key, value):
    with pytest.raises(InvalidRecordError, match=f"^message 2 has {key}, which is not supported: "):
        parse_record(build({**ASSISTANT, key: value}), record_format)
    for empty in EMPTY:
        record = build({**ASSISTANT, key: empty})
        assert parse_record(record, record_format) == talk(("user", "q"), ("assistant", "a"))
        assert not list_ignored_keys(record, record_format)


@pytest.mark.parametrize(("weight", "learned"), [(0, False), (0.0, False), (1, True), (1.0, True), (None, True)])
def test_the_weight_of_an_answer_decides_whether_it_is_learned(weight, learned):
    (message,) = parse_record({"messages": [{**ASSISTANT, "weight": weight}]}, MESSAGES)
    assert message.learned is learned


@pytest.mark.parametrize("weight", [2, -1, 0.5, True, False, "0", [0], float("inf")])
def test_another_weight_is_refused(weight):
    with pytest.raises(
        InvalidRecordError, match=r"^message 1 has the weight .*; write 0 \(not learned\) or 1 \(learned\)$"
    ):
        parse_record({"messages": [{**ASSISTANT, "weight": weight}]}, MESSAGES)


def test_only_answers_can_be_learned():
    assert parse_record({"messages": [{**USER, "weight": 0}]}, MESSAGES)[0].role == "user"
    with pytest.raises(
        InvalidRecordError, match="message 1 has weight 1, but only the assistant's messages are learned"
    ):
        parse_record({"messages": [{**USER, "weight": 1}]}, MESSAGES)


@pytest.mark.parametrize("weight", [0, 2, 0.5, "1", True])
def test_the_weight_of_a_record_is_refused(weight):
    record = {"messages": [USER, ASSISTANT]}
    assert parse_record({**record, "weight": 1}, MESSAGES) == parse_record(record, MESSAGES)
    with pytest.raises(
        InvalidRecordError, match=r"^has the weight .*, which is not supported: all records count the same"
    ):
        parse_record({**record, "weight": weight}, MESSAGES)


def test_a_completion_that_is_marked_as_bad_is_refused():
    record = {"prompt": "q", "completion": "a"}
    assert list_ignored_keys({**record, "label": True}, PROMPT) == {"label"}
    with pytest.raises(InvalidRecordError, match=r"^has label false, which marks a bad completion"):
        parse_record({**record, "label": False}, PROMPT)


@pytest.mark.parametrize(
    ("record_format", "record", "ignored"),
    [
        (MESSAGES, {"messages": [USER, ASSISTANT]}, set()),
        (MESSAGES, {"messages": [{**USER, "id": 0}, {**ASSISTANT, "weight": 1, "id": 1}]}, {"messages[].id"}),
        (MESSAGES, {"messages": [USER], "id": 7, "source": False, "note": None}, {"id", "source"}),
        (MESSAGES, {"messages": [USER], "prompt": "q"}, {"prompt"}),
        (PROMPT, {"prompt": "q", "completion": "a", "weight": 1, "id": 7}, {"id"}),
        (PROMPT, {"prompt": [{**USER, "id": 0}], "completion": "a"}, {"prompt[].id"}),
    ],
)
def test_other_keys_are_listed(record_format, record, ignored):
    assert list_ignored_keys(record, record_format) == ignored
