"""The keys that training reads, and the others that a valid record has; those that cannot be honoured are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunewright_contracts.dataset_lines import InvalidRecordError, has_value, is_number
from tunewright_contracts.run_spec import DatasetFormat

_READ_KEYS: Mapping[DatasetFormat, frozenset[str]] = {
    DatasetFormat.MESSAGES: frozenset({"messages"}),
    DatasetFormat.PROMPT_COMPLETION: frozenset({"prompt", "completion"}),
}
_READ_MESSAGE_KEYS = frozenset({"role", "content", "weight"})


def read_weight(message: Mapping[str, Any], where: str) -> bool:
    """Return whether a message is learned: not if its ``weight`` is 0.

    Raises:
        InvalidRecordError: the weight is neither 0 nor 1, or asks to learn a message that is not the assistant's.
    """
    weight = message.get("weight")
    if weight is None:
        return True
    if not is_number(weight, 0) and not is_number(weight, 1):
        raise InvalidRecordError(f"{where} has the weight {weight!r:.40}; write 0 (not learned) or 1 (learned)")
    if message.get("role") == "assistant":
        return bool(weight)
    if weight:
        raise InvalidRecordError(
            f'{where} has weight 1, but only the assistant\'s messages are learned; remove "weight"'
        )
    return True


def list_ignored_keys(record: Mapping[str, Any], record_format: DatasetFormat) -> frozenset[str]:
    """Return the keys of a valid record that have a value and are not read; ``messages[].id`` is a message's key."""
    read = _READ_KEYS[record_format]
    ignored = {key for key, value in record.items() if key not in read and key != "weight" and has_value(value)}
    for name in read:
        for message in _messages(record[name]):
            keys = {key for key, value in message.items() if key not in _READ_MESSAGE_KEYS and has_value(value)}
            ignored.update(f"{name}[].{key}" for key in keys)
    return frozenset(ignored)


def _messages(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from value
