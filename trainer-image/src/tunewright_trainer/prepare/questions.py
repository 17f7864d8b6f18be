"""Find the question of each record. Records with the same question must be in the same split.

The question is the record's opening: the messages before the first answer, without the system prompt. The system prompt
is usually the same for all records, and a new one must not move records out of the held-out set, on which rollouts
compare.

An opening that many records share (a greeting, or one instruction under different system prompts) does not tell what
they ask. These records are divided by what differs: the user's further messages, or the system message.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.dataset.record import Record

_Key = TypeVar("_Key")
SHARED_PERCENT = 2
"""An opening that more than this share of the records has is divided: it would make the splits' shares uneven."""
_SHARED_RECORDS = 5
"""An opening of at most so many records is not divided, also if they are more than 2 % of a small dataset."""
_FEW_SYSTEMS = 10
"""Fewer system messages than this describe the style of the answers, not what they are about. They do not divide."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What a record asks; ``continued``: other records begin with it, so it must not be held out."""

    messages: Conversation
    continued: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Rules:
    """When records with the same question are divided.

    There are more than ``limit`` of them. They have at least ``few_systems`` system messages; or they differ in a turn
    of the user, and at most ``most_ended`` of them (from 0 to 1) end before this turn. With ``together``, a system
    message replaces the opening, so that all questions about one document stay together.
    """

    limit: int
    few_systems: int
    most_ended: float
    together: bool = True


_FALLBACKS = (_Rules(1, few_systems=2, most_ended=1), _Rules(1, few_systems=2, most_ended=1, together=False))
"""For a dataset with fewer questions than splits."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Records with the same question so far: the first ``depth`` turns of the user are equal."""

    question: Question
    members: tuple[int, ...]
    depth: int = 1
    by_system: bool = False


def opening_question(conversation: Conversation) -> Conversation:
    """Return the messages before the first answer, without the system prompt."""
    return list_turns(conversation)[0]


def list_turns(conversation: Conversation) -> list[Conversation]:
    """Return the user's turns: the messages between two answers.

    The first turn is the opening. It contains an assistant's message that comes before all of the user's.
    """
    turns: list[list[ChatMessage]] = [[]]
    for message in conversation:
        if message.role == "assistant" and turns[0]:
            if turns[-1]:
                turns.append([])
        elif message.role != "system":
            turns[-1].append(message)
    opening, *others = turns
    return [tuple(opening), *(tuple(turn) for turn in others if turn)]


def find_questions(records: Sequence[Record], wanted: int) -> list[Question]:
    """Return the question of each record, in their order.

    Args:
        records: all records of a dataset.
        wanted: the number of splits that need a record. If there are fewer questions, more openings are divided.
    """
    divider = _Divider(records)
    limit = max(_SHARED_RECORDS, len(records) * SHARED_PERCENT // 100)
    questions: list[Question] = []
    for rules in (_Rules(limit, _FEW_SYSTEMS, most_ended=0.5), *_FALLBACKS):
        questions = divider.divide(rules)
        if _can_fill(questions, wanted):
            break
    return questions


def _can_fill(questions: Sequence[Question], wanted: int) -> bool:
    different = set(questions)
    free = sum(not question.continued for question in different)
    return len(different) >= wanted and free >= wanted - 1


class _Divider:
    """Divide the openings of a dataset."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._turns = [list_turns(record.conversation) for record in records]
        self._systems = [_system_message(record.conversation) for record in records]

    def divide(self, rules: _Rules) -> list[Question]:
        """Return the question of each record."""
        openings = _group(range(len(self._turns)), lambda index: self._turns[index][0])
        waiting = [_Part(Question(opening), tuple(members)) for opening, members in openings.items()]
        questions: dict[int, Question] = {}
        while waiting:
            part = waiting.pop()
            smaller = self._divide_once(part, rules)
            waiting.extend(smaller)
            if not smaller:
                questions.update(dict.fromkeys(part.members, part.question))
        return [questions[index] for index in range(len(self._turns))]

    def _divide_once(self, part: _Part, rules: _Rules) -> list[_Part]:
        """Return the smaller parts of a part; none if it is not divided."""
        if part.question.continued or len(part.members) <= rules.limit:
            return []
        options = [self._divide_by_turn(part, rules), self._divide_by_system(part, rules)]
        useful = [parts for parts in options if len(parts) > 1]
        return min(useful, key=_size_of_largest, default=[])

    def _divide_by_turn(self, part: _Part, rules: _Rules) -> list[_Part]:
        """Divide by the first turn of the user that differs. Records that end before it begin all the others."""
        depth, shared = part.depth, part.question.messages
        turns = self._group_by_turn(part.members, depth)
        while len(turns) == 1 and () not in turns:
            shared += next(iter(turns))
            depth += 1
            turns = self._group_by_turn(part.members, depth)
        if len(turns.get((), ())) > rules.most_ended * len(part.members):
            return []
        return [
            _Part(Question(shared + turn, continued=not turn), tuple(members), depth + 1, part.by_system)
            for turn, members in turns.items()
        ]

    def _divide_by_system(self, part: _Part, rules: _Rules) -> list[_Part]:
        """Divide by the system message."""
        systems = _group(part.members, lambda index: self._systems[index])
        if part.by_system or len(systems) < rules.few_systems:
            return []
        opening = () if rules.together else part.question.messages
        return [
            _Part(Question(system + opening) if system else part.question, tuple(members), part.depth, by_system=True)
            for system, members in systems.items()
        ]

    def _group_by_turn(self, members: Sequence[int], depth: int) -> dict[Conversation, list[int]]:
        """Group records by a turn, which is empty for records that end before it."""

        def read_turn(index: int) -> Conversation:
            turns = self._turns[index]
            return turns[depth] if depth < len(turns) else ()

        return _group(members, read_turn)


def _system_message(conversation: Conversation) -> Conversation:
    return tuple(message for message in conversation[:1] if message.role == "system")


def _size_of_largest(parts: Sequence[_Part]) -> int:
    return max(len(part.members) for part in parts)


def _group(members: Sequence[int], key: Callable[[int], _Key]) -> dict[_Key, list[int]]:
    groups: defaultdict[_Key, list[int]] = defaultdict(list)
    for index in members:
        groups[key(index)].append(index)
    return dict(groups)
