"""Assign each record to a split by its opening question.

The hash of the opening question decides. So new records do not move others to another split. The same question with
two answers, or a dialogue and its beginning, is never both trained on and held out. The system prompt is not hashed: it
is the same for all records, and a new one must not move records out of a held-out set on which rollouts compare. The
percentage of a split is therefore a probability for each record, not an exact count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tunewright_trainer.chat.conversation import ChatMessage, Conversation, hash_conversation
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError


@dataclasses.dataclass(frozen=True, slots=True)
class SplitPercents:
    """The percentages of two splits; the rest is the training split."""

    validation: int
    evaluation: int


def choose_split(conversation: Conversation, percents: SplitPercents) -> Split:
    """Return the split of a conversation: the lowest part of [0, 100) is evaluation, the next validation, then train.

    Evaluation comes first, so that another validation percentage moves no record into or out of the held-out set.
    """
    fraction = int.from_bytes(hash_conversation(opening_question(conversation))[:8], "big") / 2**64 * 100
    if fraction < percents.evaluation:
        return Split.EVALUATION
    if fraction < percents.evaluation + percents.validation:
        return Split.VALIDATION
    return Split.TRAIN


def opening_question(conversation: Conversation) -> Conversation:
    """Return the messages before the first answer, without the system prompt."""
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
    """Check that each split that the job asks for has a record.

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
        f"no records for {' and '.join(empty)}: {unique} unique records{dropped} were split into {counts}; "
        f"add records, or {' and '.join(settings[split] for split in empty)}",
    )
