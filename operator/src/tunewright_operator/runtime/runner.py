"""The runner: one asyncio task for each custom resource, which waits and reconciles in a loop.

Reconcilers are level-triggered and idempotent. So every failure is handled in the same way: it is logged, and the loop
reconciles again after a longer wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import ClusterError, ConflictError
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.wakeups import Key, Wakeups

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconcile once; return the maximum seconds until the next time, None to wait for an event."""
Report = Callable[[Key, Exception], Awaitable[None]]
"""Report an unexpected error in the status of the resource."""

RESYNC_SECONDS = 600.0
"""Every loop reconciles again after this time, even without an event: a watch can miss one."""
FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0
CONFLICT_BACKOFF_SECONDS = 0.1
GONE_ANSWERS = 3
"""A loop ends after so many answers in a row that its resource does not exist, since one answer may be wrong."""

log = structlog.get_logger(__name__)


class GoneError(Exception):
    """The API server answers that the resource does not exist: its loop ends if the answer stays the same."""


def backoff_seconds(failures: int) -> float:
    """Return the wait after the n-th failure in a row: capped exponential backoff with jitter."""
    delay = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (failures - 1))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret


class Runner:
    """Starts, wakes and ends the loops; at most ``concurrency`` of them reconcile at the same time."""

    def __init__(
        self,
        reconcilers: Mapping[Kind, Reconcile],
        wakeups: Wakeups,
        report: Report,
        *,
        concurrency: int = 16,
        backoff: Callable[[int], float] = backoff_seconds,
    ) -> None:
        self._reconcilers = reconcilers
        self._wakeups = wakeups
        self._report = report
        self._slots = asyncio.Semaphore(concurrency)
        self._backoff = backoff
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def ensure(self, key: Key) -> None:
        """Wake the loop of a resource; start it if it does not run."""
        task = self._tasks.get(key)
        if task is None or task.done():
            self._wakeups.register(key)
            self._tasks[key] = asyncio.create_task(self._run_loop(key), name=str(key))
            metrics.LOOPS.labels(key.kind.name).inc()
        else:
            self._wakeups.wake(key)

    def is_running(self, key: Key) -> bool:
        """Return whether a resource has a loop."""
        task = self._tasks.get(key)
        return task is not None and not task.done()

    def stop(self, key: Key) -> None:
        """End the loop of a deleted resource; a new resource of the same name can get a loop at once."""
        task = self._tasks.pop(key, None)
        if task is not None:
            self._wakeups.forget(key)
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def close(self) -> None:
        """Cancel all loops and wait until they have ended."""
        tasks = [*self._tasks.values(), *self._ending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_loop(self, key: Key) -> None:
        failures = 0
        gone = 0
        delay: float | None = None
        try:
            while True:
                await self._wakeups.wait(key, RESYNC_SECONDS if delay is None else min(delay, RESYNC_SECONDS))
                try:
                    delay = await self._reconcile_once(key)
                    failures = gone = 0
                except GoneError:
                    # Woken after the read: a new resource of this name may exist, and it gets no other loop.
                    gone = 1 if self._wakeups.is_woken(key) else gone + 1
                    if gone == GONE_ANSWERS:
                        return
                    delay = self._backoff(gone)
                except ConflictError:
                    # Another client changed an object between observe and act: not a failure, reconcile again.
                    delay = CONFLICT_BACKOFF_SECONDS
                except ClusterError as error:
                    failures += 1
                    delay = self._backoff(failures)
                    log.warning("reconcile_failed", resource=str(key), error=str(error), retry_in=round(delay, 1))
                except Exception as error:
                    failures += 1
                    delay = self._backoff(failures)
                    log.exception("reconcile_failed", resource=str(key), retry_in=round(delay, 1))
                    await self._report_error(key, error)
        finally:
            if self._tasks.get(key) is asyncio.current_task():
                self._wakeups.forget(key)
                self._tasks.pop(key)
            metrics.LOOPS.labels(key.kind.name).dec()

    async def _report_error(self, key: Key, error: Exception) -> None:
        try:
            await self._report(key, error)
        except Exception:
            log.exception("failure_not_reported", resource=str(key))

    async def _reconcile_once(self, key: Key) -> float | None:
        async with self._slots:
            started = time.monotonic()
            outcome = "error"
            try:
                delay = await self._reconcilers[key.kind](key)
                outcome = "ok"
            except GoneError:
                outcome = "gone"
                raise
            except ConflictError:
                outcome = "conflict"
                raise
            finally:
                metrics.RECONCILES.labels(key.kind.name, outcome).inc()
                metrics.RECONCILE_SECONDS.labels(key.kind.name).observe(time.monotonic() - started)
        return delay
