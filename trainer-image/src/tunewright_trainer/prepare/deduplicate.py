"""Remove exact duplicates: records with the same conversation, in any file and at any line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tunewright_trainer.chat.conversation import hash_conversation
from tunewright_trainer.dataset.record import Record


def deduplicate(records: Iterable[Record], mode: Literal["None", "Exact"]) -> tuple[list[Record], int]:
    """Return the records without duplicates, of which the first one is kept, and the number of dropped records."""
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
