"""The messages of a chat: text only, with the fields that OpenAI's clients send."""

from __future__ import annotations

from typing import Any, NoReturn

import orjson

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields.values import (
    Limits,
    nests_deeper,
    read_list,
    read_object,
    read_text,
    refuse,
    refuse_found,
    refuse_key,
)
from tunewright_server.request_limits import MAX_MESSAGES, MAX_NESTING, MAX_TOOLS

_KEYS = frozenset(
    {"role", "content", "name", "refusal", "tool_calls", "tool_call_id", "reasoning", "reasoning_content"}
)
_EMPTY_KEYS = frozenset({"annotations", "audio", "function_call"})
"""Keys of an answer's message that a client may send back, if they have no value."""
_PART_KEYS = {"text": frozenset({"type", "text", "cache_control"}), "refusal": frozenset({"type", "refusal"})}
"""The types of a message's parts that are text, and the keys that they can have.

With a `uuid`, vLLM 0.32 reads a part of type text as the image, audio or video that another of its keys names.
"""
_CALL_KEYS = frozenset({"id", "type", "index", "function"})
_FUNCTION_KEYS = frozenset({"name", "arguments"})
_TEXTS = ("name", "refusal", "tool_call_id", "reasoning", "reasoning_content")
_ROLE_CHARACTERS = 64


def check_messages(name: str, value: Any, _limits: Limits) -> list[dict[str, Any]]:
    """Check messages, and return them without empty fields that vLLM does not know.

    vLLM would fetch images, audio and video from any address in a part that is not text.

    Raises:
        RefusalError: 400; the message names the place.
    """
    messages = read_list(name, value, MAX_MESSAGES, "messages")
    return [_check_message(f"{name}[{place}]", message) for place, message in enumerate(messages)]


def _check_message(path: str, message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        refuse(path, message, "an object with role and content")
    known: dict[str, Any] = message if message.keys() <= _KEYS else _drop_empty(path, message)
    read_text(f"{path}.role", known.get("role"), _ROLE_CHARACTERS)
    content = known.get("content")
    if isinstance(content, list):
        for place, part in enumerate(content):
            _check_part(f"{path}.content[{place}]", part)
    elif content is not None and not isinstance(content, str):
        raise RefusalError(
            400,
            RefusalCode.UNSUPPORTED_CONTENT,
            f"{path}.content is neither a text nor a list of parts; send one of them",
            param="messages",
        )
    for key in _TEXTS:
        text = known.get(key)
        if text is not None and not isinstance(text, str):
            refuse(f"{path}.{key}", text, "a text")
    calls = known.get("tool_calls")
    if calls is not None:
        for place, call in enumerate(read_list(f"{path}.tool_calls", calls, MAX_TOOLS, "calls")):
            _check_call(f"{path}.tool_calls[{place}]", call)
    return known


def _drop_empty(path: str, message: dict[str, Any]) -> dict[str, Any]:
    for key, value in message.items():
        if key not in _KEYS and (key not in _EMPTY_KEYS or value):
            refuse_key(f"{path}.{key}", _KEYS)
    return {key: value for key, value in message.items() if key in _KEYS}


def _check_part(path: str, part: Any) -> None:
    if isinstance(part, str):
        return
    kind = part.get("type") if isinstance(part, dict) else None
    if not (
        isinstance(part, dict)
        and isinstance(kind, str)
        and part.keys() <= _PART_KEYS.get(kind, frozenset())
        and isinstance(part.get(kind), str)
        and not nests_deeper(part.get("cache_control"), 1)
    ):
        raise RefusalError(
            400,
            RefusalCode.UNSUPPORTED_CONTENT,
            f"{path} (type {str(kind)[:40]!r}) is not plain text, which is all that this server supports; send "
            '{"type": "text", "text": ...} without other keys',
            param="messages",
        )


def _check_call(path: str, call: Any) -> None:
    """Check a call of a tool, whose arguments vLLM parses: Python's parser fails on deeply nested JSON."""
    read_object(path, call, _CALL_KEYS)
    if call.get("function") is None:
        return  # vLLM refuses it
    arguments = read_object(f"{path}.function", call["function"], _FUNCTION_KEYS).get("arguments")
    if isinstance(arguments, str) and arguments.count("[") + arguments.count("{") > MAX_NESTING:
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            _refuse_arguments(path)
    if nests_deeper(arguments, MAX_NESTING):
        _refuse_arguments(path)


def _refuse_arguments(path: str) -> NoReturn:
    wanted = f"JSON with at most {MAX_NESTING} objects and lists inside each other"
    refuse_found(f"{path}.function.arguments", "nested too deeply, or invalid", wanted)
