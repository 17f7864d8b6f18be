"""Detect a lack of progress: only that ends a wait, not the time that a slow machine needs."""

from __future__ import annotations

from collections.abc import Hashable

LONGEST_TICK_SECONDS = 30.0
"""The most that the time between two checks counts: after a longer time, this program or the machine was suspended."""


class Watchdog:
    """Measure how long no new state was seen.

    A state that was seen before is not progress: otherwise, the wait for something that fails and restarts repeatedly
    would never end. Times are seconds of any monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self._seen: set[Hashable] = set()
        self._last = now
        self.silent_seconds = 0.0

    def note(self, state: Hashable, now: float) -> None:
        """Record the current state; call this at least every few seconds."""
        self.silent_seconds += min(now - self._last, LONGEST_TICK_SECONDS)
        self._last = now
        if state not in self._seen:
            self._seen.add(state)
            self.silent_seconds = 0.0
