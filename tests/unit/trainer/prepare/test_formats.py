"""Both formats become the same conversation, and missing fields are named."""

import pytest

from tunewright_contracts.dataset_lines import InvalidRecordError
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.prepare.formats import detect_format, parse_record

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"messages": []}, DatasetFormat.MESSAGES),
        ({"messages": [], "prompt": "q", "completion": "a"}, DatasetFormat.MESSAGES),
        ({"prompt": "q", "completion": "a", "id": 7}, DatasetFormat.PROMPT_COMPLETION),
        ({"messages": None, "prompt": "q", "completion": "a"}, DatasetFormat.PROMPT_COMPLETION),
        ({"messages": [], "prompt": None, "completion": None}, DatasetFormat.MESSAGES),
        ({"messages": None, "prompt": "q"}, DatasetFormat.MESSAGES),
    ],
)
def test_detection(record, expected):
    assert detect_format(record) is expected


@pytest.mark.parametrize(
    ("record", "keys"),
    [({}, "none"), ({"prompt": "q"}, "prompt"), (dict.fromkeys("abcdefg"), "a, b, c, d, e")],
)
def test_no_known_format_names_the_first_keys(record, keys):
    with pytest.raises(InvalidRecordError, match=rf"\(its keys: {keys}\)$"):
        detect_format(record)


@pytest.mark.parametrize(
    ("record_format", "record"),
    [
        (DatasetFormat.MESSAGES, {"messages": [USER, ASSISTANT], "id": 7}),
        (DatasetFormat.PROMPT_COMPLETION, {"prompt": "q", "completion": "a"}),
        (DatasetFormat.PROMPT_COMPLETION, {"prompt": [USER], "completion": [ASSISTANT]}),
        (DatasetFormat.PROMPT_COMPLETION, {"prompt": "q", "completion": [ASSISTANT]}),
    ],
)
def test_formats_agree_on_the_conversation(talk, record_format, record):
    assert parse_record(record, record_format) == talk(("user", "q"), ("assistant", "a"))


def test_every_format_but_auto_has_a_parser():
    for record_format in set(DatasetFormat) - {DatasetFormat.AUTO}:
        with pytest.raises(InvalidRecordError, match='has no "'):
            parse_record({}, record_format)


@pytest.mark.parametrize("key", ["tool_calls", "function_call", "tool_call_id"])
def test_tools_are_not_supported_unless_empty(talk, key):
    assert parse_record({"messages": [{**USER, key: None}]}, DatasetFormat.MESSAGES) == talk(("user", "q"))
    with pytest.raises(InvalidRecordError, match=f"message 1 has {key}, which is not supported"):
        parse_record({"messages": [{**USER, key: "x"}]}, DatasetFormat.MESSAGES)


@pytest.mark.parametrize(("value", "kind"), [(1, "a number"), (True, "a boolean"), (None, "nothing"), ([], "a list")])
def test_a_value_in_place_of_text_is_named(value, kind):
    with pytest.raises(InvalidRecordError, match=f"message 1 has {kind} as content, not text"):
        parse_record({"messages": [{"role": "user", "content": value}]}, DatasetFormat.MESSAGES)
