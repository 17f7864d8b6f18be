"""Print how long each stage of the story takes on the reference machine and here, and record how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tunewright_dev.demo.output import telling
from tunewright_dev.demo.timing import sizes
from tunewright_dev.demo.timing.reference import Reference
from tunewright_dev.demo.timing.sizes import Sizes
from tunewright_dev.demo.timing.speed import Speed
from tunewright_dev.demo.timing.stopwatch import Lap, Stopwatch


class Timekeeper:
    """Time the stages; create it when the story starts. ``say`` prints a line."""

    def __init__(
        self, say: Callable[[str], None], reference: Reference, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._reference = reference
        self._clock = clock
        self._stopwatch = Stopwatch(clock())
        self._sizes: Sizes | None = None

    @property
    def patience_seconds(self) -> float:
        """The longest wait without progress."""
        return sizes.FIRST_PATIENCE_SECONDS if self._sizes is None else self._sizes.patience_seconds

    @property
    def stages(self) -> Mapping[str, float]:
        """The seconds of each finished stage, in their order."""
        return self._stopwatch.seconds

    def enter(self, stage: str) -> None:
        """Begin a stage and end the one before; do nothing if it is the current stage."""
        now = self._clock()
        if stage == self._stopwatch.stage:
            return
        self._tell(self._stopwatch.enter(stage, now))
        slowdown = None if self._sizes is None else self._sizes.slowdown
        self._say(telling.tell_stage(stage, self._reference, slowdown, self._stopwatch.elapsed(now)))

    def finish(self) -> None:
        """End the last stage."""
        self._tell(self._stopwatch.stop(self._clock()))

    def derive_sizes(self, speed: Speed) -> Sizes:
        """Return the story's sizes for a speed, and print their consequences; they apply to the later stages."""
        self._sizes = sizes.derive_sizes(speed.tokens_per_second, self._reference.speed.tokens_per_second)
        for line in telling.tell_speed(speed, self._reference, self._sizes):
            self._say(line)
        return self._sizes

    def _tell(self, lap: Lap | None) -> None:
        if lap is not None:
            self._say(telling.tell_lap(lap))
