"""Assign each record to a split by what it asks.

The hash of the opening question decides, so that adding records moves none, and the same question with two answers, or
a dialogue and its beginning, is never both trained on and asked in the examination. A system prompt plays no part: it
is the same for all, and another one must not move records out of a held-out set that rollouts compare on. The share of
a split is thus a chance of each record rather than an exact count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tunewright_trainer.chat.conversation import ChatMessage, Conversation, hash_conversation
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError


@dataclasses.dataclass(frozen=True, slots=True)
class SplitPercents:
    """Shares in percent; the rest is trained on."""

    validation: int
    evaluation: int


def choose_split(conversation: Conversation, percents: SplitPercents) -> Split:
    """Return the split of a conversation: from the bottom of [0, 100) evaluation, then validation, then train.

    Evaluation is first so that changing the validation share moves no record into or out of the held-out set.
    """
    fraction = int.from_bytes(hash_conversation(opening_question(conversation))[:8], "big") / 2**64 * 100
    if fraction < percents.evaluation:
        return Split.EVALUATION
    if fraction < percents.evaluation + percents.validation:
        return Split.VALIDATION
    return Split.TRAIN


def opening_question(conversation: Conversation) -> Conversation:
    """Return what was said before the first answer, without the system prompt."""
    opening: list[ChatMessage] = []
    for message in conversation:
        if message.role == "assistant" and opening:
            break
        if message.role != "system":
            opening.append(message)
    return tuple(opening)


def split_records(records: Iterable[Record], percents: SplitPercents) -> dict[Split, list[Record]]:
    """Return the records by split, in their order."""
    splits: dict[Split, list[Record]] = {split: [] for split in Split}
    for record in records:
        splits[choose_split(record.conversation, percents)].append(record)
    return splits


def check_splits(splits: dict[Split, list[Record]], percents: SplitPercents, duplicates: int) -> None:
    """Check that each split that was asked for got a record.

    Raises:
        TrainerError: one is empty.
    """
    held_out = {Split.VALIDATION: percents.validation, Split.EVALUATION: percents.evaluation}
    wanted = [Split.TRAIN, *(split for split, percent in held_out.items() if percent > 0)]
    empty = [split for split in wanted if not splits[split]]
    if not empty:
        return
    unique = sum(len(records) for records in splits.values())
    dropped = f" (after {duplicates} duplicates were dropped)" if duplicates else ""
    counts = ", ".join(f"{split} {len(records)}" for split, records in splits.items())
    settings = {
        Split.TRAIN: "lower the split's percentages",
        Split.VALIDATION: "set dataset.split.validationPercent to 0",
        Split.EVALUATION: "set dataset.split.evaluationPercent to 0",
    }
    raise TrainerError(
        Reason.TOO_FEW_RECORDS,
        f"{unique} unique records{dropped} leave nothing for {' and '.join(empty)} ({counts}); add records, or "
        f"{' and '.join(settings[split] for split in empty)}",
    )
