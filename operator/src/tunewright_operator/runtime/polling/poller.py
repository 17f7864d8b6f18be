"""The poller: it reads the pods of servers and trainers at intervals, outside the reconciliations.

So a pod that does not answer delays no reconciliation, and at most some of the other polls (`schedule`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Hashable
from enum import StrEnum
from typing import Protocol

import structlog

from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.polling.schedule import PollSchedule

MAX_IMMEDIATE_POLLS = 32
"""At most so many polls at the same time that a reconciliation waits for; they are beside those of the schedule."""
STANDBY_SECONDS = 1.0
"""How often a replica that may not poll checks whether it may."""

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """The result of a poll."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    UNREACHABLE = "unreachable"
    """No answer in time, or none that can be used."""


class Target(Protocol):
    """Something that is polled."""

    @property
    def kind(self) -> str:
        """What it is, for the metrics."""
        ...

    async def poll(self) -> Outcome:
        """Read it, pass on what is new, and return the outcome."""
        ...


@dataclasses.dataclass(slots=True, eq=False)
class _Followed:
    target: Target
    lock: asyncio.Lock
    """Held by the poll that runs, so that the newest answer is also the last one to be passed on."""


class Poller:
    """Polls what it follows, while this replica leads."""

    def __init__(
        self,
        *,
        is_leading: Callable[[], bool],
        schedule: PollSchedule | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_leading = is_leading
        self._schedule = PollSchedule() if schedule is None else schedule
        self._clock = clock
        self._followed: dict[Hashable, _Followed] = {}
        self._changed = asyncio.Event()
        self._immediate = asyncio.Semaphore(MAX_IMMEDIATE_POLLS)
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._followed)

    def follow(self, name: Hashable, target: Target, group: Hashable, seconds: float) -> None:
        """Poll a target now, and then at this interval; groups take turns. A known target gets the interval."""
        if name not in self._followed:
            self._followed[name] = _Followed(target, asyncio.Lock())
            metrics.POLLED_PODS.labels(target.kind).inc()
        self._schedule.follow(name, group, seconds, self._clock())
        self._changed.set()

    def forget(self, name: Hashable) -> None:
        """Do not poll a target again."""
        followed = self._followed.pop(name, None)
        if followed is not None:
            metrics.POLLED_PODS.labels(followed.target.kind).dec()
            self._schedule.forget(name)

    def hurry(self, name: Hashable) -> None:
        """Poll a target as soon as possible, for example because it became ready."""
        self._schedule.hurry(name, self._clock())
        self._changed.set()

    async def poll_now(self, names: Collection[Hashable]) -> None:
        """Poll targets at once, and wait for the outcome. A poll that runs already is followed by another one."""
        await asyncio.gather(*(self._poll_immediately(name) for name in names))

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                self._changed.clear()
                self._start_due()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._find_pause()):
                        await self._changed.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def poll_due(self) -> None:
        """Poll all targets that are due now, and wait for the outcomes."""
        while tasks := self._start_due():
            await asyncio.gather(*tasks)

    def _start_due(self) -> list[asyncio.Task[None]]:
        if not self._is_leading():
            return []
        started: list[asyncio.Task[None]] = []
        for name, late_seconds in self._schedule.take(self._clock()):
            metrics.POLL_DELAY.observe(max(0.0, late_seconds))
            task = asyncio.create_task(self._poll(name), name="poll")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            started.append(task)
        return started

    def _find_pause(self) -> float | None:
        if not self._is_leading():
            return STANDBY_SECONDS
        due = self._schedule.next_due()
        return None if due is None else max(0.0, due - self._clock())

    async def _poll_immediately(self, name: Hashable) -> None:
        async with self._immediate:
            await self._poll(name)

    async def _poll(self, name: Hashable) -> None:
        answered = False
        try:
            followed = self._followed.get(name)
            if followed is None:
                return
            async with followed.lock:
                outcome = await followed.target.poll()
            metrics.POD_POLLS.labels(followed.target.kind, outcome.value).inc()
            answered = outcome is not Outcome.UNREACHABLE
        except Exception:
            log.exception("poll_failed", target=str(name))
        finally:
            self._schedule.finish(name, self._clock(), answered=answered)
            self._changed.set()
