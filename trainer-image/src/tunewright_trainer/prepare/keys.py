"""The keys of records and messages: the honoured ones, those that training cannot honour, and the ignored others.

A key that changes the meaning of a record must not be dropped: the model would learn something else than the data says.
Such a key is refused by name. A key without a value (null, or an empty text, list or object) changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.prepare.validate import RecordError

_TOOLS = "tool calls cannot be learned; remove the record, or write the calls into the contents as text"
_REASONING = "reasoning is not learned; remove it, or write the wanted text into the content"
_MEDIA = "only text can be learned; remove the record, or describe it in the content"
_LOSS = 'use "weight": 0 on an assistant message that must not be learned'

_COMMON_ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("tools", "functions", "tool_choice", "function_call", "tool_calls", "tool_call_id"), _TOOLS),
    **dict.fromkeys(
        ("reasoning_content", "reasoning", "reasoning_details", "thinking", "thinking_blocks", "thought", "thoughts"),
        _REASONING,
    ),
    **dict.fromkeys(("image", "images", "image_url", "audio", "audios", "video", "videos", "attachments"), _MEDIA),
}
_MESSAGE_ADVICE: Mapping[str, str] = {
    **_COMMON_ADVICE,
    **dict.fromkeys(("train", "trainable", "train_detail", "loss", "loss_mask"), _LOSS),
    "name": "names of speakers are not rendered; remove it, or write the name into the content",
    "refusal": "write the refusal into the content",
    "prefix": "an answer cannot be continued; remove it, or write the whole answer into the content",
}
_SYSTEM = 'write it as the first message, with the role "system"'
_PREFERENCE = "preferences cannot be learned; keep the preferred answer, and remove this key"
_RECORD_ADVICE: Mapping[str, str] = {
    **_COMMON_ADVICE,
    **dict.fromkeys(("system", "system_prompt", "developer"), _SYSTEM),
    **dict.fromkeys(("chosen", "rejected", "preferred_output", "non_preferred_output"), _PREFERENCE),
    **dict.fromkeys(("documents", "retrieved_documents"), "it is not rendered; write it into a message's content"),
    **dict.fromkeys(
        ("chat_template", "chat_template_kwargs", "enable_thinking"),
        "the chat template is the BaseModel's, and the same for all records; remove it",
    ),
    "suffix": "text between two parts cannot be learned; remove the record",
}
_READ_KEYS: Mapping[DatasetFormat, frozenset[str]] = {
    DatasetFormat.MESSAGES: frozenset({"messages"}),
    DatasetFormat.PROMPT_COMPLETION: frozenset({"prompt", "completion"}),
}
_READ_MESSAGE_KEYS = frozenset({"role", "content", "weight"})


def check_record_keys(record: Mapping[str, Any]) -> None:
    """Check that a record has no key that training cannot honour.

    Raises:
        RecordError: it has one; the message names the key and says what to do.
    """
    _refuse_unsupported(record, _RECORD_ADVICE, "")
    weight = record.get("weight")
    if _has_value(weight) and not _is_number(weight, 1):
        raise RecordError(
            f'has the weight {weight!r:.40}, which is not supported: all records count the same; remove "weight", or '
            "repeat the record with deduplication None"
        )
    if record.get("label") is False and "completion" in record:
        raise RecordError("has label false, which marks a bad completion and is not supported; remove the record")


def check_message_keys(message: Mapping[str, Any], where: str) -> None:
    """Check that a message has no key that training cannot honour.

    Raises:
        RecordError: it has one; the message names the key and says what to do.
    """
    _refuse_unsupported(message, _MESSAGE_ADVICE, f"{where} ")


def read_weight(message: Mapping[str, Any], where: str) -> bool:
    """Return whether a message is learned: not if its ``weight`` is 0.

    Raises:
        RecordError: the weight is neither 0 nor 1, or asks to learn a message that is not the assistant's.
    """
    weight = message.get("weight")
    if weight is None:
        return True
    if not _is_number(weight, 0) and not _is_number(weight, 1):
        raise RecordError(f"{where} has the weight {weight!r:.40}; write 0 (not learned) or 1 (learned)")
    if message.get("role") == "assistant":
        return bool(weight)
    if weight:
        raise RecordError(f'{where} has weight 1, but only the assistant\'s messages are learned; remove "weight"')
    return True


def list_ignored_keys(record: Mapping[str, Any], record_format: DatasetFormat) -> frozenset[str]:
    """Return the keys of a valid record that have a value and are not read; ``messages[].id`` is a message's key."""
    read = _READ_KEYS[record_format]
    ignored = {key for key, value in record.items() if key not in read and key != "weight" and _has_value(value)}
    for name in read:
        for message in _messages(record[name]):
            keys = {key for key, value in message.items() if key not in _READ_MESSAGE_KEYS and _has_value(value)}
            ignored.update(f"{name}[].{key}" for key in keys)
    return frozenset(ignored)


def _messages(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from value


def _refuse_unsupported(item: Mapping[str, Any], advice: Mapping[str, str], where: str) -> None:
    for key, value in item.items():
        if advice.get(key) and _has_value(value):
            raise RecordError(f"{where}has {key}, which is not supported: {advice[key]}")


def _has_value(value: Any) -> bool:
    return value not in (None, "", [], {})


def _is_number(value: Any, expected: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == expected
