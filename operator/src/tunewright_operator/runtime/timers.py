"""Timers: which keys become ready at which time."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator

from tunewright_operator.runtime.key import Key, Urgency

SPARE_ENTRIES = 64
"""The heap may have so many entries more than twice its timers, before it is built again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timer:
    """A key that becomes ready at ``due``; ``number`` makes the order of equal times that of their setting."""

    due: float
    number: int
    urgency: Urgency


class Timers:
    """At most one timer for each key, in a heap. Setting a timer takes O(log n), cancelling it constant time.

    The heap keeps the entry of a cancelled or replaced timer until its time comes, or until most entries are such ones.
    """

    def __init__(self) -> None:
        self._timers: dict[Key, Timer] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._timers)

    def __contains__(self, key: Key) -> bool:
        return key in self._timers

    def set(self, key: Key, due: float, urgency: Urgency) -> None:
        """Set a key's timer. If it has one, the earlier time and the higher urgency apply."""
        timer = self._timers.get(key)
        if timer is not None:
            urgency = min(urgency, timer.urgency)
            if timer.due <= due:
                self._timers[key] = dataclasses.replace(timer, urgency=urgency)
                return
        self._number += 1
        self._timers[key] = Timer(due, self._number, urgency)
        heapq.heappush(self._heap, (due, self._number, key))
        if len(self._heap) > 2 * len(self._timers) + SPARE_ENTRIES:
            self._heap = [(timer.due, timer.number, key) for key, timer in self._timers.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Cancel a key's timer, if it has one."""
        self._timers.pop(key, None)

    def next_due(self) -> float | None:
        """Return the time of the next timer; None without one."""
        while self._heap:
            due, number, key = self._heap[0]
            timer = self._timers.get(key)
            if timer is not None and timer.number == number:
                return due
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: float) -> Iterator[tuple[Key, Timer]]:
        """Remove the timers whose time has come, and yield them in the order of their times."""
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._heap)
            yield key, self._timers.pop(key)
