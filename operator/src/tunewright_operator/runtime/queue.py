"""The work queue of one kind of resource: which resources are to be reconciled, and which one is next.

It has the semantics of client-go's workqueue: a key waits at most once, however often it is woken, and is never worked
on twice at the same time. If it is woken while it is worked on, it waits again afterwards.

The queue does no input or output and knows no event loop: time is a parameter. Every operation takes O(log n) or less,
so that 10,000 keys of one namespace cost the others nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.timers import Timers
from tunewright_operator.runtime.turns import Turns

COALESCE_SECONDS = 0.1
"""A changed child wakes its owner after this time: its changes come in groups, and one reconciliation sees them all."""


@dataclasses.dataclass(slots=True, eq=False)
class Work:
    """One key that is worked on. The queue changes ``woken`` and ``forgotten`` in the meantime."""

    key: Key
    urgency: Urgency
    waited_seconds: float
    """How long it was ready, with this urgency."""
    woken: Urgency | None = None
    """The highest urgency with which it was woken since it was taken; None if it was not."""
    forgotten: bool = False
    """The resource was deleted since it was taken; ``woken`` then means another resource of the same name."""


class WorkQueue:
    """The keys of one kind: ready, waiting for their time, or worked on."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._turns = Turns()
        self._timers = Timers()
        self._working: dict[Key, Work] = {}

    def wake(self, key: Key, urgency: Urgency) -> None:
        """Let a key be worked on: now, or after the current work. A key that waits already may become more urgent."""
        self._move_due()
        if urgency is Urgency.CHILD and key not in self._turns:
            self._timers.set(key, self._now() + COALESCE_SECONDS, urgency)
        else:
            self._ready(key, urgency, self._now())

    def after(self, key: Key, seconds: float, urgency: Urgency) -> None:
        """Wake a key after some time, unless it is taken before that for another reason."""
        self._timers.set(key, self._now() + seconds, urgency)

    def forget(self, key: Key) -> None:
        """Remove everything about a key whose resource was deleted. Work on it continues and is not repeated."""
        self._turns.remove(key)
        self._timers.cancel(key)
        work = self._working.get(key)
        if work is not None:
            work.woken, work.forgotten = None, True

    def take(self) -> Work | None:
        """Return the next key to work on; None when no key is ready. `done` must follow."""
        self._move_due()
        ready = self._turns.pop()
        if ready is None:
            return None
        self._timers.cancel(ready.key)
        work = Work(ready.key, ready.urgency, max(0.0, self._now() - ready.since))
        self._working[ready.key] = work
        return work

    def done(self, work: Work, after_seconds: float | None = None, urgency: Urgency = Urgency.TIMER) -> None:
        """End the work on a key.

        Args:
            work: what `take` returned.
            after_seconds: when the key is to be worked on again; None: when it is woken. It has no effect if the
                resource was deleted in the meantime.
            urgency: the urgency at that time.
        """
        del self._working[work.key]
        if after_seconds is not None and not work.forgotten:
            self.after(work.key, after_seconds, urgency)
        if work.woken is not None:
            self.wake(work.key, work.woken)

    def next_due(self) -> float | None:
        """Return when the next key becomes ready without being woken; None if none will."""
        return self._timers.next_due()

    def depth(self, urgency: Urgency) -> int:
        """Return how many keys of an urgency are ready."""
        self._move_due()
        return self._turns.depth(urgency)

    def oldest_seconds(self, urgency: Urgency) -> float:
        """Return how long the oldest key of an urgency has been ready; 0 if none is."""
        self._move_due()
        since = self._turns.oldest(urgency)
        return 0.0 if since is None else max(0.0, self._now() - since)

    def timed(self) -> int:
        """Return how many keys have a timer."""
        return len(self._timers)

    def _ready(self, key: Key, urgency: Urgency, since: float) -> None:
        work = self._working.get(key)
        if work is None:
            self._turns.add(key, urgency, since)
        else:
            work.woken = urgency if work.woken is None else min(urgency, work.woken)

    def _move_due(self) -> None:
        for key, timer in self._timers.pop_due(self._now()):
            self._ready(key, timer.urgency, timer.due)
