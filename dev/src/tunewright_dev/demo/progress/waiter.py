"""Wait for the parts of the story, as long as there is progress."""

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
"""The most events between two checks of a wait, so that it is also checked while events arrive without end."""


@dataclasses.dataclass(frozen=True)
class Awaited:
    """Something that the story waits for.

    ``mark`` returns the current state on the way to it; a state that was not seen before is progress. Without progress
    for ``patience_seconds`` the wait fails, and ``remedy`` explains what to do.
    """

    what: str
    holds: Callable[[], bool]
    mark: Callable[[], Hashable]
    patience_seconds: float
    remedy: str


class Events(Protocol):
    """Where events come from; `feed.Feed` has the cluster's events."""

    def next(self, timeout: float) -> Event | None:
        """Return the next event, or None if there is none within ``timeout`` seconds."""


class Waiter:
    """Process events until a condition holds; ``check`` raises an error if waiting has no purpose any more."""

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
        """Return when the condition holds; until then ``each_tick`` is called about every second, after new events.

        Raises:
            DevError: there was no progress for too long; the message shows the objects' conditions and what to do.
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
        """Process the available events; wait ``timeout`` seconds for the first."""
        ended: list[Ended] = []
        for _ in range(MOST_EVENTS):
            event = self._events.next(timeout)
            if event is None:
                break
            ended += self._world.absorb(event)
            timeout = 0.0
        return ended


def explain_silence(world: World, awaited: Awaited, seconds: float) -> str:
    """Return the message about a wait without progress."""
    parts = {"ModelServer": world.server, "AdapterDeployment": world.deployment, **world.jobs}
    return "\n".join(
        [
            f"No progress for {seconds / 60:.0f} minutes while waiting for {awaited.what}. {awaited.remedy}",
            "`make demo` runs the story again from its start; servers and images are kept. The objects report:",
            *(f"  {name}: {telling.tell_conditions(body)}" for name, body in parts.items() if body is not None),
        ]
    )
