"""Assign each record to a split by the hash of its question.

So new records do not move others to another split. The same question with two answers, or a dialogue and its beginning,
is never both trained on and held out. The percentage of a split is therefore a probability for each question, not an
exact count. If a share would be off by more than half, or a split empty, the questions whose hashes are next to the end
of the part move. Only these can move when records are added.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from tunewright_trainer.chat.conversation import hash_conversation
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare.questions import Question, find_questions


@dataclasses.dataclass(frozen=True, slots=True)
class SplitPercents:
    """The percentages of two splits; the rest is the training split."""

    validation: int
    evaluation: int

    @property
    def held_out(self) -> dict[Split, int]:
        """The splits that are not trained on, with their percentages."""
        return {Split.VALIDATION: self.validation, Split.EVALUATION: self.evaluation}

    @property
    def wanted(self) -> tuple[Split, ...]:
        """The splits that need a record."""
        return (Split.TRAIN, *(split for split, percent in self.held_out.items() if percent > 0))


@dataclasses.dataclass(frozen=True, slots=True)
class Division:
    """The records by split, in their order, with the number of records of each split's questions."""

    splits: dict[Split, list[Record]]
    questions: dict[Split, Counter[Question]]


def choose_split(digest: bytes, percents: SplitPercents) -> Split:
    """Return the split of a question by its hash: the lowest part of [0, 100) is evaluation, the next validation.

    Evaluation comes first, so that another validation percentage moves no record into or out of the held-out set.
    """
    fraction = int.from_bytes(digest[:8], "big") / 2**64 * 100
    if fraction < percents.evaluation:
        return Split.EVALUATION
    if fraction < percents.evaluation + percents.validation:
        return Split.VALIDATION
    return Split.TRAIN


def split_records(records: Iterable[Record], percents: SplitPercents) -> Division:
    """Return the records by split. Each split that is wanted has a record, if there are enough different questions."""
    ordered = list(records)
    found = find_questions(ordered, len(percents.wanted))
    chosen = _assign(Counter(found), percents)
    splits: dict[Split, list[Record]] = {split: [] for split in Split}
    questions: dict[Split, Counter[Question]] = {split: Counter() for split in Split}
    for record, question in zip(ordered, found, strict=True):
        splits[chosen[question]].append(record)
        questions[chosen[question]][question] += 1
    return Division(splits, questions)


def _assign(questions: Counter[Question], percents: SplitPercents) -> dict[Question, Split]:
    """Return the split of each question, so that no split that is wanted is empty if there are enough questions.

    In the order of the hashes, the held-out splits are the first questions. Only the ends of their parts move: to keep
    each share within half of its percentage, and then to leave a question for each split.
    """
    free = [question for question in questions if not question.continued]
    digests = [hash_conversation(question.messages) for question in free]
    order = sorted(range(len(free)), key=digests.__getitem__)
    ranked = [free[place] for place in order]
    natural = [choose_split(digests[place], percents) for place in order]
    evaluation = natural.count(Split.EVALUATION)
    held_out = evaluation + natural.count(Split.VALIDATION)
    need_train = 1 if len(free) == len(questions) else 0
    need_validation, need_evaluation = min(percents.validation, 1), min(percents.evaluation, 1)
    if len(ranked) >= need_train + need_validation + need_evaluation:
        sizes = [questions[question] for question in ranked]
        wanted = questions.total() / 100
        evaluation = _keep_share(sizes, 0, evaluation, wanted * percents.evaluation)
        evaluation = _clamp(evaluation, need_evaluation, len(ranked) - need_train - need_validation)
        held_out = _keep_share(sizes, evaluation, held_out, wanted * percents.validation)
        held_out = _clamp(held_out, evaluation + need_validation, len(ranked) - need_train)
    chosen = dict.fromkeys(questions, Split.TRAIN)
    chosen.update(dict.fromkeys(ranked[:evaluation], Split.EVALUATION))
    chosen.update(dict.fromkeys(ranked[evaluation:held_out], Split.VALIDATION))
    return chosen


def _keep_share(sizes: Sequence[int], start: int, end: int, expected: float) -> int:
    """Return the end of a part, moved until its records are between half and one and a half times the expected number.

    A part that one large question brings from below the one bound to above the other is left below.

    Args:
        sizes: the number of records of each question.
        start: the part's first question.
        end: the question after its last one.
        expected: the number of records of the part.
    """
    end = max(start, end)
    count = sum(sizes[start:end])
    while end < len(sizes) and count < expected / 2:
        count += sizes[end]
        end += 1
    while end > start and count > expected * 1.5:
        end -= 1
        count -= sizes[end]
    return end


def _clamp(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def check_splits(division: Division, percents: SplitPercents, duplicates: int) -> None:
    """Check that each split that the job asks for has a record.

    Raises:
        TrainerError: one is empty.
    """
    splits = division.splits
    empty = [split for split in percents.wanted if not splits[split]]
    if not empty:
        return
    unique = sum(len(records) for records in splits.values())
    questions = sum(len(found) for found in division.questions.values())
    dropped = f" (after {duplicates} duplicates were dropped)" if duplicates else ""
    different = _describe_questions(questions) if questions < unique else ""
    counts = ", ".join(f"{split} {len(records)}" for split, records in splits.items())
    settings = {
        Split.TRAIN: "lower the split's percentages",
        Split.VALIDATION: "set dataset.split.validationPercent to 0",
        Split.EVALUATION: "set dataset.split.evaluationPercent to 0",
    }
    raise TrainerError(
        Reason.TOO_FEW_RECORDS,
        f"no records for {' and '.join(empty)}: {unique} unique records{dropped}{different} were split into {counts}; "
        f"add records{' with other questions' if different else ''}, or "
        f"{' and '.join(settings[split] for split in empty)}",
    )


def describe_shares(division: Division, percents: SplitPercents) -> tuple[str, ...]:
    """Return a note with the reason for each split whose share differs from its percentage by more than half of it."""
    total = sum(len(records) for records in division.splits.values())
    notes: list[str] = []
    for split, percent in percents.held_out.items():
        count = len(division.splits[split])
        if 2 * abs(100 * count - percent * total) > percent * total:
            share = (
                f"The {split} split has {count} of {total} records ({100 * count / total:.1f} %) instead of {percent} %"
            )
            notes.append(f"{share}: {_explain_share(division, split, total * percent / 100)}.")
    return tuple(notes)


def _explain_share(division: Division, split: Split, expected: float) -> str:
    found = [item for questions in division.questions.values() for item in questions.items()]
    largest = max((size for question, size in found if not question.continued), default=0)
    begun = sum(size for question, size in found if question.continued)
    count = len(division.splits[split])
    if count < expected and begun > expected / 2:
        return f"{begun} records are the beginning of other dialogues, so they are trained on"
    if largest > max(1, expected / 2):
        return f"records with the same question stay in one split, and one question has {largest} records"
    if count > expected and len(division.questions[split]) == 1:
        return "each split has at least one record"
    return f"the hash of a question chooses its split, so that the shares of only {len(found)} questions vary"


def _describe_questions(number: int) -> str:
    return " with the same question" if number == 1 else f" with only {number} different questions"
