"""Whether there is progress: what ends a wait is that nothing new happens, however slow the machine is."""

from __future__ import annotations

from collections.abc import Hashable

LONGEST_TICK_SECONDS = 30.0
"""Of a longer time between two checks, the rest does not count: this program did not run, or the machine slept."""


class Watchdog:
    """Counts how long no new state was seen.

    A state that was seen before is no progress: what fails and starts again in a circle would otherwise be waited for
    without end. Times are seconds of any clock that only goes forward.
    """

    def __init__(self, now: float) -> None:
        self._seen: set[Hashable] = set()
        self._last = now
        self.silent_seconds = 0.0

    def note(self, state: Hashable, now: float) -> None:
        """Take in the present state; call it at least every few seconds."""
        self.silent_seconds += min(now - self._last, LONGEST_TICK_SECONDS)
        self._last = now
        if state not in self._seen:
            self._seen.add(state)
            self.silent_seconds = 0.0
