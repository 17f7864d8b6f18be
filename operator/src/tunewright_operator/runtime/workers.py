"""The workers of one kind: tasks that work through its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tunewright_operator.runtime.queue import Work, WorkQueue

WorkOn = Callable[[Work], Awaitable[None]]
"""Works on one key and passes it to `WorkQueue.done`; it raises nothing."""


class Workers:
    """At most ``limit`` tasks. One starts when a key is ready and a task is free, and ends when no key is ready."""

    def __init__(self, queue: WorkQueue, work_on: WorkOn, *, limit: int, name: str) -> None:
        self._queue = queue
        self._work_on = work_on
        self._limit = limit
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def busy(self) -> int:
        """How many of them work."""
        return self._busy

    def start(self) -> None:
        """Start workers for the keys that are ready; call it after each change of the queue."""
        while self._busy < self._limit and not self._closed:
            work = self._queue.take()
            if work is None:
                break
            self._busy += 1
            task = asyncio.create_task(self._run(work), name=self._name)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._set_alarm()

    async def close(self) -> None:
        """Cancel the workers, and wait until they have ended."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, first: Work) -> None:
        work: Work | None = first
        try:
            while work is not None:
                await self._work_on(work)
                # Work that waits for nothing would otherwise keep the event loop from all other tasks.
                await asyncio.sleep(0)
                work = self._queue.take()
        finally:
            self._busy -= 1
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Start workers again when the next timer is due. Without a free worker it is not needed: they take the key."""
        due = self._queue.next_due()
        if due is None or self._busy == self._limit or self._closed:
            return
        if self._alarm is None or self._alarm.when() > due:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.start()
