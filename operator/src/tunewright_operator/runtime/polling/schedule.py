"""Which pod is polled when: intervals, back-off, a limit of polls at the same time, and turns between groups.

It does no input or output and knows no event loop: time is a parameter. Every operation takes O(log n) or less.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq
import math
from collections.abc import Hashable
from enum import Enum, auto

MAX_POLLS = 64
MAX_FAILING_POLLS = 32
"""At most so many of the polls are of pods that did not answer the last one: each may take the whole timeout."""
MAX_BACKOFF_SECONDS = 30.0
MAX_STARTING_BACKOFF_SECONDS = 5.0
"""A pod that has never answered probably starts, and refuses connections at once."""


def backoff_seconds(failures: int, *, has_answered: bool) -> float:
    """Return the wait after the n-th poll in a row without an answer: 2, 4, 8, 16, 30 s."""
    longest = MAX_BACKOFF_SECONDS if has_answered else MAX_STARTING_BACKOFF_SECONDS
    return min(longest, 2.0 ** min(failures, 16))


class _Place(Enum):
    """Where a target is."""

    TIMED = auto()
    READY = auto()
    RUNNING = auto()


@dataclasses.dataclass(slots=True, eq=False)
class _Entry:
    target: Hashable
    group: Hashable
    seconds: float
    due: float
    place: _Place = _Place.TIMED
    failing: bool = False
    """Whether the poll that is ready or runs counts against `MAX_FAILING_POLLS`."""
    failures: int = 0
    has_answered: bool = False
    hurried: bool = False
    """Whether it is to be polled again at once when the current poll ends."""
    number: int = 0
    """The number of its newest item in the heap; older ones have no effect."""


class _Turns:
    """Ready targets. Each group has one of them polled in turn, so that a large group does not delay the others."""

    def __init__(self) -> None:
        self._groups: collections.OrderedDict[Hashable, collections.deque[_Entry]] = collections.OrderedDict()

    def add(self, entry: _Entry) -> None:
        self._groups.setdefault(entry.group, collections.deque()).append(entry)

    def pop(self) -> _Entry | None:
        """Return the next entry of the next group, without those that left in the meantime; None if there is none."""
        while self._groups:
            group, entries = self._groups.popitem(last=False)
            entry = entries.popleft()
            if entries:
                self._groups[group] = entries
            if entry.place is _Place.READY:
                return entry
        return None


class PollSchedule:
    """Targets by name; those of one group are polled at the same times, as far as they answer."""

    def __init__(self, *, limit: int = MAX_POLLS, failing_limit: int = MAX_FAILING_POLLS) -> None:
        self._limit = limit
        self._failing_limit = failing_limit
        self._entries: dict[Hashable, _Entry] = {}
        self._members: dict[Hashable, tuple[float, int]] = {}
        """By group: the time from which its intervals are counted, and the number of its targets."""
        self._heap: list[tuple[float, int, _Entry]] = []
        self._number = 0
        self._turns, self._failing_turns = _Turns(), _Turns()
        self._running = self._failing_running = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, target: Hashable) -> bool:
        return target in self._entries

    def follow(self, target: Hashable, group: Hashable, seconds: float, now: float) -> None:
        """Poll a new target now, and then at this interval; or change the interval of a known one."""
        entry = self._entries.get(target)
        if entry is None:
            anchor, count = self._members.get(group, (now, 0))
            self._members[group] = anchor, count + 1
            entry = self._entries[target] = _Entry(target, group, seconds, now)
            self._time(entry, now)
        elif entry.seconds != seconds:
            entry.seconds = seconds
            if entry.place is _Place.TIMED and not entry.failures:
                self._time(entry, min(entry.due, self._find_next(entry, now)))

    def forget(self, target: Hashable) -> None:
        """Do not poll a target again. A poll of it that runs does not count any more."""
        entry = self._entries.pop(target, None)
        if entry is None:
            return
        anchor, count = self._members[entry.group]
        if count > 1:
            self._members[entry.group] = anchor, count - 1
        else:
            del self._members[entry.group]
        entry.number = 0
        if entry.place is _Place.RUNNING:
            self._release(entry)
        entry.place = _Place.TIMED

    def hurry(self, target: Hashable, now: float) -> None:
        """Poll a target now, whatever its back-off; again if a poll of it runs."""
        entry = self._entries.get(target)
        if entry is None:
            return
        entry.failures = 0
        if entry.place is _Place.TIMED:
            self._time(entry, now)
        elif entry.place is _Place.RUNNING:
            entry.hurried = True

    def take(self, now: float) -> list[tuple[Hashable, float]]:
        """Return the targets to poll now, each with how late it is; `finish` must follow for each of them."""
        while self._heap and self._heap[0][0] <= now:
            _, number, entry = heapq.heappop(self._heap)
            if number == entry.number:
                entry.place, entry.failing = _Place.READY, entry.failures > 0
                (self._failing_turns if entry.failing else self._turns).add(entry)
        taken: list[tuple[Hashable, float]] = []
        while self._running < self._limit:
            entry_or_none = self._turns.pop()
            if entry_or_none is None and self._failing_running < self._failing_limit:
                entry_or_none = self._failing_turns.pop()
            if entry_or_none is None:
                break
            entry = entry_or_none
            entry.place = _Place.RUNNING
            self._running += 1
            self._failing_running += entry.failing
            taken.append((entry.target, now - entry.due))
        return taken

    def finish(self, target: Hashable, now: float, *, answered: bool) -> None:
        """Plan the next poll after one that ended, whether `take` returned it or not."""
        entry = self._entries.get(target)
        if entry is None:
            return
        if entry.place is _Place.RUNNING:
            self._release(entry)
        if answered:
            entry.failures, entry.has_answered = 0, True
            due = self._find_next(entry, now)
        else:
            entry.failures += 1
            due = now + backoff_seconds(entry.failures, has_answered=entry.has_answered)
        if entry.hurried:
            entry.hurried, due = False, now
        entry.place = _Place.TIMED
        self._time(entry, due)

    def next_due(self) -> float | None:
        """Return when `take` will have a target that it does not have now, if no poll ends before; None: never."""
        while self._heap and self._heap[0][1] != self._heap[0][2].number:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _release(self, entry: _Entry) -> None:
        self._running -= 1
        self._failing_running -= entry.failing

    def _time(self, entry: _Entry, due: float) -> None:
        self._number += 1
        entry.due, entry.number = due, self._number
        heapq.heappush(self._heap, (due, self._number, entry))

    def _find_next(self, entry: _Entry, now: float) -> float:
        """Return the next time on the group's grid that is at least half an interval away."""
        anchor, _ = self._members[entry.group]
        return anchor + math.ceil((now - anchor) / entry.seconds + 0.5) * entry.seconds
