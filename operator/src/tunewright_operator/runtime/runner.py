"""The runner: a queue and workers for each kind of custom resource, which reconcile what is woken.

Reconcilers are level-triggered and idempotent. So every failure is handled in the same way: it is logged, and the
resource is reconciled again after a longer wait.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import random
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import ClusterError, ConflictError
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.queue import Work, WorkQueue
from tunewright_operator.runtime.workers import Workers

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconcile once; return after how many seconds to reconcile again, None: only when the resource is woken."""
Report = Callable[[Key, Exception], Awaitable[None]]
"""Report an unexpected error in the status of the resource."""

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0
CONFLICT_BACKOFF_SECONDS = 0.1

log = structlog.get_logger(__name__)


class GoneError(Exception):
    """The resource does not exist. If it appears again, it is woken again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Again:
    """When a resource is reconciled again if nothing wakes it before, and with which urgency."""

    seconds: float
    urgency: Urgency = Urgency.TIMER


def backoff_seconds(failures: int) -> float:
    """Return the wait after the n-th failure in a row: capped exponential backoff with jitter."""
    delay = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (failures - 1))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret


def plan_next(answer: float | None, urgency: Urgency) -> Again | None:
    """Return when to reconcile again after a reconciler's answer; None: only when woken.

    A reconciler that wants to continue at once keeps its urgency: it does the next part of the same work.
    """
    if answer is None:
        return None
    return Again(answer, urgency if answer <= 0 else Urgency.TIMER)


class Runner:
    """Reconciles the resources that are woken, each kind with its own workers, so that no kind waits for another."""

    def __init__(
        self,
        reconcilers: Mapping[Kind, Reconcile],
        report: Report,
        workers: Mapping[Kind, int],
        *,
        forgotten: Callable[[Key], None] = lambda _: None,
        backoff: Callable[[int], float] = backoff_seconds,
    ) -> None:
        self._reconcilers = reconcilers
        self._report = report
        self._forgotten = forgotten
        self._backoff = backoff
        self._failures: dict[Key, int] = {}
        now = asyncio.get_running_loop().time
        self._queues = {kind: WorkQueue(now) for kind in reconcilers}
        self._workers = {
            kind: Workers(queue, functools.partial(self._work_on, queue), limit=workers[kind], name=kind.name)
            for kind, queue in self._queues.items()
        }
        for kind, queue in self._queues.items():
            _show(kind.name, queue, self._workers[kind], workers[kind])

    def wake(self, key: Key, urgency: Urgency) -> None:
        """Reconcile a resource when it has its turn; if it is being reconciled, again after that."""
        self._queues[key.kind].wake(key, urgency)
        self._workers[key.kind].start()

    def forget(self, key: Key) -> None:
        """Do not reconcile a deleted resource again; a new one of the same name can be woken at once."""
        self._queues[key.kind].forget(key)
        self._failures.pop(key, None)
        self._forgotten(key)

    async def close(self) -> None:
        """Cancel all reconciliations and wait until they have ended."""
        await asyncio.gather(*(workers.close() for workers in self._workers.values()))

    async def _work_on(self, queue: WorkQueue, work: Work) -> None:
        again = await self._reconcile_or_retry(work)
        if work.forgotten:
            # It was deleted while it was reconciled, which may have remembered it again.
            self._failures.pop(work.key, None)
            self._forgotten(work.key)
        if again is None:
            queue.done(work)
        else:
            queue.done(work, again.seconds, again.urgency)

    async def _reconcile_or_retry(self, work: Work) -> Again | None:
        key = work.key
        try:
            answer = await self._reconcile(work)
        except GoneError:
            self._failures.pop(key, None)
            return None
        except ConflictError:
            # Another client changed an object between observe and act: not a failure, reconcile again.
            return Again(CONFLICT_BACKOFF_SECONDS, work.urgency)
        except ClusterError as error:
            again = self._back_off(key, at_least=error.retry_after)
            log.warning("reconcile_failed", resource=str(key), error=str(error), retry_in=round(again.seconds, 1))
            return again
        except Exception as error:
            again = self._back_off(key)
            log.exception("reconcile_failed", resource=str(key), retry_in=round(again.seconds, 1))
            await self._report_error(key, error)
            return again
        self._failures.pop(key, None)
        return plan_next(answer, work.urgency)

    def _back_off(self, key: Key, at_least: float = 0.0) -> Again:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return Again(max(at_least, self._backoff(failures)))

    async def _report_error(self, key: Key, error: Exception) -> None:
        try:
            await self._report(key, error)
        except Exception:
            log.exception("failure_not_reported", resource=str(key))

    async def _reconcile(self, work: Work) -> float | None:
        kind, started, outcome = work.key.kind, time.monotonic(), "error"
        metrics.QUEUE_WAIT.labels(kind.name, work.urgency.label).observe(work.waited_seconds)
        try:
            answer = await self._reconcilers[kind](work.key)
            outcome = "ok"
        except GoneError:
            outcome = "gone"
            raise
        except ConflictError:
            outcome = "conflict"
            raise
        finally:
            metrics.RECONCILES.labels(kind.name, outcome).inc()
            metrics.RECONCILE_SECONDS.labels(kind.name).observe(time.monotonic() - started)
        return answer


def _show(kind: str, queue: WorkQueue, workers: Workers, limit: int) -> None:
    """Let the metrics of a kind show its queue and workers; they are read at each scrape."""
    for urgency in Urgency:
        metrics.QUEUE_DEPTH.labels(kind, urgency.label).set_function(functools.partial(queue.depth, urgency))
        metrics.QUEUE_OLDEST.labels(kind, urgency.label).set_function(functools.partial(queue.oldest_seconds, urgency))
    metrics.TIMERS.labels(kind).set_function(queue.timed)
    metrics.WORKERS_BUSY.labels(kind).set_function(lambda: workers.busy)
    metrics.WORKERS.labels(kind).set(limit)
