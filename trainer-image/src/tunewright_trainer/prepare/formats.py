"""Record formats: one function per format converts a decoded JSON object to a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.prepare.validate import RecordError

ROLES = frozenset({"system", "user", "assistant"})
_UNSUPPORTED_KEYS = ("tool_calls", "function_call", "tool_call_id")


def detect_format(record: Mapping[str, Any]) -> DatasetFormat:
    """Return the format of a file's first record.

    Raises:
        RecordError: its format is unknown.
    """
    if "messages" in record:
        return DatasetFormat.MESSAGES
    if "prompt" in record and "completion" in record:
        return DatasetFormat.PROMPT_COMPLETION
    keys = ", ".join(map(str, list(record)[:5])) or "none"
    raise RecordError(f'has neither "messages" nor "prompt" and "completion" (its keys: {keys})')


def parse_record(record: Mapping[str, Any], record_format: DatasetFormat) -> Conversation:
    """Return the conversation of a record.

    Raises:
        RecordError: it does not have the format's fields.
    """
    return _PARSERS[record_format](record)


def _parse_messages(record: Mapping[str, Any]) -> Conversation:
    if "messages" not in record:
        raise RecordError('has no "messages"')
    return _parse_turns(record["messages"], "messages")


def _parse_prompt_completion(record: Mapping[str, Any]) -> Conversation:
    """Parse prompt and completion: each is text, or a list of messages (the conversational form that TRL reads)."""
    missing = [name for name in ("prompt", "completion") if name not in record]
    if missing:
        raise RecordError(f'has no "{missing[0]}"')
    return _parse_side(record, "prompt", "user") + _parse_side(record, "completion", "assistant")


def _parse_side(record: Mapping[str, Any], name: str, role: str) -> Conversation:
    value = record[name]
    if isinstance(value, str):
        return (ChatMessage(role, value),)
    return _parse_turns(value, name)


def _parse_turns(value: Any, name: str) -> Conversation:
    if not isinstance(value, list):
        raise RecordError(f'"{name}" is {_kind(value)}, not a list of messages')
    return tuple(_parse_turn(item, f"{name}[{index}]") for index, item in enumerate(value))


def _parse_turn(item: Any, where: str) -> ChatMessage:
    if not isinstance(item, dict):
        raise RecordError(f"{where} is {_kind(item)}, not an object with role and content")
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise RecordError(f"{where} has the role {role!r}, not system, user or assistant")
    unsupported = [key for key in _UNSUPPORTED_KEYS if item.get(key)]
    if unsupported:
        raise RecordError(f"{where} has {unsupported[0]}, which is not supported")
    if not isinstance(content, str):
        raise RecordError(f"{where} has {_kind(content)} as content, not text")
    return ChatMessage(role, content)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")


_PARSERS: dict[DatasetFormat, Callable[[Mapping[str, Any]], Conversation]] = {
    DatasetFormat.MESSAGES: _parse_messages,
    DatasetFormat.PROMPT_COMPLETION: _parse_prompt_completion,
}
