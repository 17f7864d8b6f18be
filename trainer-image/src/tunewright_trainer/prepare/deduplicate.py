"""Exact duplicates: the same conversation word for word, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tunewright_trainer.chat.conversation import hash_conversation
from tunewright_trainer.dataset.record import Record


def deduplicate(records: Iterable[Record], mode: Literal["None", "Exact"]) -> tuple[list[Record], int]:
    """Return the records without repetitions, the first of each kept, and how many were dropped."""
    if mode == "None":
        return list(records), 0
    seen: set[bytes] = set()
    unique: list[Record] = []
    dropped = 0
    for record in records:
        key = hash_conversation(record.conversation)
        if key in seen:
            dropped += 1
        else:
            seen.add(key)
            unique.append(record)
    return unique, dropped
