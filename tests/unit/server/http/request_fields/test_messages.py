"""Messages are texts, with the fields that OpenAI's clients send."""

import json

import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields.messages import check_messages
from tunewright_server.http.request_fields.values import Limits

LIMITS = Limits(64, structured_outputs=False)


def check(*messages):
    return check_messages("messages", [{"role": "system", "content": "Be brief."}, *messages], LIMITS)[1:]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
        {"type": "video_url", "video_url": {"url": "file:///etc/passwd"}},
        {"type": "audio_url", "audio_url": {"url": "http://store/"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "input_image", "image_url": "http://store/"},
        {"type": "image_embeds", "image_embeds": ""},
        {"image_url": "http://store/"},
        {"type": None, "image_url": "http://store/"},
        {"type": ["text"], "image_url": "http://store/"},
        {"type": "text", "text": "x", "uuid": "1", "image_url": "http://store/"},
        {"type": "text", "text": "x", "video_url": "http://store/"},
        {"type": "text", "text": {"image_url": "http://store/"}},
        {"type": "text"},
        {"type": "text", "text": "x", "cache_control": {"a": {"b": {}}}},
        {"type": "refusal", "refusal": "x", "uuid": "1", "image_url": "http://store/"},
        [{"type": "image_url", "image_url": {"url": "http://store/"}}],
        None,
    ],
)
def test_a_part_that_is_no_text(part):
    with pytest.raises(RefusalError, match=r"messages\[1\]\.content\[1\].*; send .*text") as caught:
        check({"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]})
    assert (caught.value.status, caught.value.code) == (400, RefusalCode.UNSUPPORTED_CONTENT)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("content", [{"image_url": "http://store/"}, {}, 1, True, 0.5])
def test_a_content_that_is_neither_text_nor_parts(content):
    with pytest.raises(RefusalError, match=r"messages\[1\]\.content is neither") as caught:
        check({"role": "user", "content": content})
    assert caught.value.code == RefusalCode.UNSUPPORTED_CONTENT


@pytest.mark.parametrize(
    "content",
    [
        "x",
        None,
        [],
        ["x"],
        [{"type": "text", "text": "x"}, {"type": "text", "text": "y", "cache_control": {"type": "e"}}],
    ],
)
def test_contents_of_text(content):
    assert check({"role": "user", "content": content}) == [{"role": "user", "content": content}]


CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"a": [1]}'}}


def test_messages_of_an_assistant_may_be_sent_again():
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [CALL, {"id": "1", "index": 0}], "reasoning": "because"},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": None},
        {"role": "assistant"},
        {"role": "user", "name": "ann", "content": "x"},
    ]
    assert check(*messages) == messages
    answer = {"role": "assistant", "content": "x", "audio": None, "annotations": [], "function_call": None}
    assert check(answer) == [{"role": "assistant", "content": "x"}]


def arguments(text):
    return {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": text}}]}


@pytest.mark.parametrize(
    "message",
    [
        None,
        "x",
        ["role", "user"],
        {},
        {"role": None, "content": "x"},
        {"role": ["user"], "content": "x"},
        {"role": "x" * 65, "content": "x"},
        {"role": "developer", "content": "x", "tools": []},
        {"role": "user", "content": "x", "task": "y"},
        {"role": "user", "content": "x", "image_url": None},
        {"role": "assistant", "content": "x", "audio": {"id": "1"}},
        {"role": "assistant", "content": "x", "function_call": {"name": "f"}},
        {"role": "user", "content": "x", "name": {"a": 1}},
        {"role": "tool", "content": "x", "tool_call_id": 1},
        {"role": "assistant", "content": "x", "reasoning": ["x"]},
        {"role": "assistant", "tool_calls": {"0": CALL}},
        {"role": "assistant", "tool_calls": [CALL] * 129},
        {"role": "assistant", "tool_calls": ["find"]},
        {"role": "assistant", "tool_calls": [{**CALL, "custom": {}}]},
        {"role": "assistant", "tool_calls": [{"function": "find"}]},
        arguments("[" * 5000),
        arguments("[" * 900 + "]" * 900),
        arguments("[" * 70 + "]" * 70),
        arguments(json.loads("[" * 70 + "]" * 70)),
    ],
)
def test_a_message_that_is_refused(message):
    with pytest.raises(RefusalError, match=r"messages\[1\]") as caught:
        check(message)
    assert (caught.value.status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize("text", ["", "{", "no JSON", "[]" * 5, json.dumps({"a": [{}] * 100}), None, {"a": 1}])
def test_arguments_of_a_call(text):
    assert check(arguments(text)) == [arguments(text)]


@pytest.mark.parametrize("messages", ["x", {"role": "user"}, 1, [{"role": "user"}] * 4097])
def test_no_list_of_messages(messages):
    with pytest.raises(RefusalError, match="`messages` is"):
        check_messages("messages", messages, LIMITS)
