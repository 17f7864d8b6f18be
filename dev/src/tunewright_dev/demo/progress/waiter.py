"""Waiting for the parts of the story: as long as there is progress, and no longer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Hashable
from typing import Protocol

from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.rollouts import Ended
from tunewright_dev.demo.observed.world import World
from tunewright_dev.demo.output import telling
from tunewright_dev.demo.output.view import View
from tunewright_dev.demo.progress.watchdog import Watchdog
from tunewright_dev.errors import DevError

TICK_SECONDS = 1.0
MOST_EVENTS = 1000
"""Taken in at a time:
the wait is judged by all that has come, and still judged while more comes than can be taken in.
"""


@dataclasses.dataclass(frozen=True)
class Awaited:
    """Something that must come about.

    ``mark`` returns the present state of what leads to it: a state that was not there before is progress. Without any
    for ``patience_seconds`` the wait fails, and ``remedy`` says what to do then.
    """

    what: str
    holds: Callable[[], bool]
    mark: Callable[[], Hashable]
    patience_seconds: float
    remedy: str


class Events(Protocol):
    """Where events come from; `feed.Feed` has the cluster's."""

    def next(self, timeout: float) -> Event | None:
        """Return the next event, or None when none came within ``timeout`` seconds."""


class Waiter:
    """Takes events into the world until what is awaited holds; ``check`` raises where no wait makes sense any more."""

    def __init__(
        self,
        events: Events,
        world: World,
        view: View,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._world = world
        self._view = view
        self._check = check
        self._clock = clock

    def wait(self, awaited: Awaited, each_tick: Callable[[], None] = lambda: None) -> None:
        """Return when it holds; ``each_tick`` is called about every second until then, after what came was taken in.

        Raises:
            DevError: nothing new happened for too long; the message names the last signs of life and what to do.
        """
        watchdog = Watchdog(self._clock())
        drawn: float | None = None
        pause = 0.0
        while True:
            for ended in self._absorb(pause):
                self._view.say(telling.tell_ended(ended))
            pause = TICK_SECONDS
            self._check()
            each_tick()
            if awaited.holds():
                return
            now = self._clock()
            watchdog.note(awaited.mark(), now)
            if watchdog.silent_seconds >= awaited.patience_seconds:
                raise DevError(explain_silence(self._world, awaited, watchdog.silent_seconds))
            if drawn is None or now - drawn >= TICK_SECONDS:
                drawn = now
                self._world.tally.judge(time.time())
                self._view.show(self._world, awaited.what)

    def _absorb(self, timeout: float) -> list[Ended]:
        """Take in what has come, waiting ``timeout`` seconds for the first."""
        ended: list[Ended] = []
        for _ in range(MOST_EVENTS):
            event = self._events.next(timeout)
            if event is None:
                break
            ended += self._world.absorb(event)
            timeout = 0.0
        return ended


def explain_silence(world: World, awaited: Awaited, seconds: float) -> str:
    """Return the message of a wait without progress."""
    parts = {"ModelServer": world.server, "AdapterDeployment": world.deployment, **world.jobs}
    return "\n".join(
        [
            f"No progress for {seconds / 60:.0f} minutes while waiting for {awaited.what}. {awaited.remedy}",
            "`make demo` plays the story again from its start; servers and images stay. What the objects report:",
            *(f"  {name}: {telling.tell_conditions(body)}" for name, body in parts.items() if body is not None),
        ]
    )
