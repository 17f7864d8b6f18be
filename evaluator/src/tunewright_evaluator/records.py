"""The held-out records that every arm answers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from tunewright_contracts.dataset_lines import (
    InvalidRecordError,
    check_message_keys,
    check_record_keys,
    decode_line,
    is_number,
)
from tunewright_contracts.document import ContractError


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One question and its reference answer: ``messages`` is the conversation before the reference."""

    index: int
    messages: tuple[dict[str, str], ...]
    reference: str

    @property
    def question(self) -> str:
        """Return ``sha256:<hex>`` of the conversation, which identifies the question in every set."""
        return f"sha256:{hashlib.sha256(json.dumps(self.messages, sort_keys=True).encode()).hexdigest()}"


def parse_records(data: bytes, where: str) -> list[Record]:
    """Parse JSONL of ``{"messages": [..., {"role": "assistant", "content": reference}]}``.

    Raises:
        ContractError: a line is not such a record, or has a key that cannot be honoured; the message names the line.
    """
    records: list[Record] = []
    # Not splitlines: a JSON string may contain U+2028, U+2029 and U+0085 unescaped.
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            *conversation, last = _parse_messages(decode_line(line))
        except InvalidRecordError as error:
            raise ContractError(f"{where}:{number}: {error}; correct or remove the record") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(
                f"{where}:{number}: not a record of messages with roles and contents ({error!r}); write each message "
                'as an object with "role" and "content", both text, or remove the record'
            ) from error
        if last["role"] != "assistant" or not conversation:
            raise ContractError(
                f"{where}:{number}: a held-out record must have at least one message and end with the assistant's "
                "reference answer; correct or remove it"
            )
        records.append(Record(number, tuple(conversation), last["content"]))
    return records


def _parse_messages(record: dict[str, Any]) -> list[dict[str, str]]:
    """Return the messages of a record.

    Raises:
        InvalidRecordError: a key of the record or of a message cannot be honoured.
        KeyError, TypeError: it has no list of messages, each with role and content.
    """
    check_record_keys(record)
    messages = [_parse_message(item, place) for place, item in enumerate(record["messages"], start=1)]
    if messages and is_number(record["messages"][-1].get("weight"), 0):
        raise InvalidRecordError("the last message has weight 0, so it is not a reference answer")
    return messages


def _parse_message(item: dict[str, Any], place: int) -> dict[str, str]:
    """Return a message's role and content.

    Raises:
        InvalidRecordError: it has a key that cannot be honoured.
        TypeError: role or content is not text (but a list of parts, or null), so that it could not be scored.
        KeyError: role or content is missing.
    """
    message = {name: item[name] for name in ("role", "content")}
    check_message_keys(item, f"message {place}")
    for name, value in message.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} of message {place} is {json.dumps(value)[:60]}, not text")
    return message


def choose_records(records: list[Record], maximum: int) -> list[Record]:
    """Choose at most ``maximum`` records by a hash of their content.

    The choice is the same for each run on the same set, so that two rollouts are compared on the same records.
    """
    return sorted(sorted(records, key=lambda record: record.question)[:maximum], key=lambda record: record.index)
