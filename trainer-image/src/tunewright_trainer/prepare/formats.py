"""Record formats: one function per format converts a decoded JSON object to a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunewright_contracts.dataset_lines import InvalidRecordError, check_message_keys, check_record_keys
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.prepare.keys import read_weight

ROLES = frozenset({"system", "user", "assistant"})
_AS_TEXT = "write JSON as text, with escaped quotes"


def detect_format(record: Mapping[str, Any]) -> DatasetFormat:
    """Return the format of a record, from its keys. A key without a value counts only if no other key decides.

    Raises:
        InvalidRecordError: its format is unknown.
    """
    given = {key for key, value in record.items() if value is not None}
    for keys in (given, record.keys()):
        if "messages" in keys:
            return DatasetFormat.MESSAGES
        if {"prompt", "completion"} <= keys:
            return DatasetFormat.PROMPT_COMPLETION
    names = ", ".join(map(str, list(record)[:5])) or "none"
    raise InvalidRecordError(f'has neither "messages" nor "prompt" and "completion" (its keys: {names})')


def parse_record(record: Mapping[str, Any], record_format: DatasetFormat) -> Conversation:
    """Return the conversation of a record.

    Raises:
        InvalidRecordError: it does not have the format's fields, or it has keys that training cannot honour.
    """
    check_record_keys(record)
    return _PARSERS[record_format](record)


def _parse_messages(record: Mapping[str, Any]) -> Conversation:
    if "messages" not in record:
        raise InvalidRecordError('has no "messages"')
    return _parse_turns(record["messages"], "messages", 1)


def _parse_prompt_completion(record: Mapping[str, Any]) -> Conversation:
    """Parse prompt and completion: each is text, or a list of messages (the conversational form that TRL reads)."""
    missing = [name for name in ("prompt", "completion") if name not in record]
    if missing:
        raise InvalidRecordError(f'has no "{missing[0]}"')
    prompt = _parse_side(record, "prompt", "user", 1)
    return prompt + _parse_side(record, "completion", "assistant", len(prompt) + 1)


def _parse_side(record: Mapping[str, Any], name: str, role: str, first: int) -> Conversation:
    value = record[name]
    if isinstance(value, str):
        return (ChatMessage(role, value),)
    if not isinstance(value, list):
        raise InvalidRecordError(f'"{name}" is {_kind(value)}, not text or a list of messages; {_AS_TEXT}')
    return _parse_turns(value, name, first)


def _parse_turns(value: Any, name: str, first: int) -> Conversation:
    """Parse a list of messages; ``first`` is the position of its first one in the conversation, from 1."""
    if not isinstance(value, list):
        raise InvalidRecordError(f'"{name}" is {_kind(value)}, not a list of messages')
    return tuple(_parse_turn(item, f"message {position}") for position, item in enumerate(value, start=first))


def _parse_turn(item: Any, where: str) -> ChatMessage:
    if not isinstance(item, dict):
        raise InvalidRecordError(f"{where} is {_kind(item)}, not an object with role and content")
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidRecordError(f"{where} has the role {role!r}, not system, user or assistant")
    check_message_keys(item, where)
    learned = read_weight(item, where)
    if not isinstance(content, str):
        advice = f"; {_AS_TEXT}" if isinstance(content, dict) else ""
        raise InvalidRecordError(f"{where} has {_kind(content)} as content, not text{advice}")
    return ChatMessage(role, content, learned)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")


_PARSERS: dict[DatasetFormat, Callable[[Mapping[str, Any]], Conversation]] = {
    DatasetFormat.MESSAGES: _parse_messages,
    DatasetFormat.PROMPT_COMPLETION: _parse_prompt_completion,
}
