"""Measure how long each stage of the story takes."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Lap:
    """A finished stage."""

    stage: str
    seconds: float


class Stopwatch:
    """Measure consecutive stages; times are seconds of any monotonic clock."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._began = now
        self.stage = ""
        self.seconds: dict[str, float] = {}
        """The seconds by stage, in the order of their start; a stage that was entered twice has the sum."""

    def enter(self, stage: str, now: float) -> Lap | None:
        """Begin a stage; return the one that it ends, or None if there is none or it is the same."""
        if stage == self.stage:
            return None
        lap = self.stop(now)
        self.stage, self._began = stage, now
        return lap

    def stop(self, now: float) -> Lap | None:
        """End the current stage and return it."""
        if not self.stage:
            return None
        lap = Lap(self.stage, now - self._began)
        self.seconds[lap.stage] = self.seconds.get(lap.stage, 0.0) + lap.seconds
        self.stage = ""
        return lap

    def elapsed(self, now: float) -> float:
        """Return the seconds since the start of the story."""
        return now - self._started
