"""Kubernetes Events off the critical path: a bounded queue, which one task writes.

Nothing depends on an Event. So none delays a transition, and a flood of them costs the API server little. As in
client-go's recorder (tools/record/events_cache.go), an Event that is identical to an earlier one raises the count of
the earlier one, and each object has a budget of Events. What is dropped is counted.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime as dt
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import structlog

from tunewright_operator.api.kinds import EVENT
from tunewright_operator.cluster import (
    FIELD_MANAGER,
    AlreadyExistsError,
    Body,
    ClusterError,
    NotFoundError,
    UnavailableError,
)
from tunewright_operator.kubernetes_api import metrics
from tunewright_operator.kubernetes_api.client import Request, Verb
from tunewright_operator.kubernetes_api.paths import build_path
from tunewright_operator.manifests.events import EventType, build_event

QUEUE: Final = 1_000
BURST: Final = 25
REFILL_SECONDS: Final = 300.0
"""An object may have `BURST` Events at once, and one more for each `REFILL_SECONDS`."""
REMEMBERED: Final = 4_096
"""How many objects and how many different Events are remembered."""
RETRY_SECONDS: Final = (1.0, 5.0)
"""The pauses before an Event is sent again that the API server did not answer."""
FLUSH_SECONDS: Final = 1.0
"""How long the end of a term waits for the queue: the next leader waits for it, too.

In this time a healthy API server takes hundreds of Events. One that is slower than that is not worth a delay.
"""

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Dropped(StrEnum):
    """Why an Event was not written: the label ``reason`` of the metric."""

    OBJECT_LIMIT = "object_limit"
    QUEUE_FULL = "queue_full"
    NOT_LEADING = "not_leading"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    STOPPED = "stopped"


class Sender(Protocol):
    """Sends requests (`client.APIClient`)."""

    async def request(self, request: Request) -> Body:
        """Send a request and return the object of the answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """An Event in the queue."""

    event: Body
    may_write: Callable[[], bool]


@dataclasses.dataclass(slots=True)
class Series:
    """Identical Events, which are one object in the cluster with a count."""

    name: str
    namespace: str
    first: str
    last: str
    count: int = 0
    written: int = 0
    """The count in the cluster; 0 if the object does not exist."""
    waiting: Waiting | None = None


@dataclasses.dataclass(slots=True)
class Budget:
    """A token bucket for the Events of one object."""

    tokens: float
    at: float


class EventRecorder:
    """Records Events; a failure is logged and counted, and never raised."""

    def __init__(
        self,
        sender: Sender,
        *,
        instance: str = FIELD_MANAGER,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sender = sender
        self._instance = instance
        self._now = now
        self._elapsed = elapsed
        self._sleep = sleep
        self._series: collections.OrderedDict[Hashable, Series] = collections.OrderedDict()
        self._budgets: collections.OrderedDict[Hashable, Budget] = collections.OrderedDict()
        self._queue: collections.deque[Series] = collections.deque()
        self._writer: asyncio.Task[None] | None = None

    def emit(
        self, regarding: Body, event_type: EventType, reason: str, message: str, *, may_write: Callable[[], bool]
    ) -> None:
        """Put an Event about an object into the queue; ``may_write`` is asked immediately before it is written."""
        event = build_event(
            regarding,
            event_type,
            reason,
            message,
            instance=self._instance,
            now=self._now(),
            suffix=secrets.token_hex(8),
        )
        series = self._find_series(event)
        series.count += 1
        series.last = event["lastTimestamp"]
        if series.waiting is not None:
            return  # It waits in the queue and is written with this count.
        if not self._take_budget(_identify(event)):
            _drop(Dropped.OBJECT_LIMIT)
        elif len(self._queue) >= QUEUE:
            _drop(Dropped.QUEUE_FULL)
        else:
            series.waiting = Waiting(event, may_write)
            self._queue.append(series)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write_all(), name="events")

    async def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until the queue is empty, at most for ``seconds``."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=seconds)

    async def close(self) -> None:
        """Drop what still waits in the queue."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait({self._writer})
        if self._queue:
            log.warning("events_not_recorded", count=len(self._queue), error="the operator stops")
        for _ in self._queue:
            _drop(Dropped.STOPPED)
        self._queue.clear()

    async def _write_all(self) -> None:
        while self._queue:
            series = self._queue[0]
            # The count may rise while it is written.
            while series.waiting and await self._write(series, series.waiting) and series.written < series.count:
                pass
            series.waiting = None
            self._queue.popleft()

    async def _write(self, series: Series, waiting: Waiting) -> bool:
        """Write an Event, with some attempts; return whether it is written."""
        for pause in (*RETRY_SECONDS, None):
            if not waiting.may_write():
                _drop(Dropped.NOT_LEADING)
                return False
            try:
                await self._send(series, waiting.event)
            except UnavailableError as error:
                if pause is None:
                    return _drop_with_log(Dropped.UNAVAILABLE, waiting.event, error)
                await self._sleep(max(pause, error.retry_after))
            except ClusterError as error:
                return _drop_with_log(Dropped.REFUSED, waiting.event, error)
            else:
                return True
        return False

    async def _send(self, series: Series, event: Body) -> None:
        """Write a new Event, or the new count of one that exists."""
        count = series.count
        changes = {"count": count, "lastTimestamp": series.last}
        if series.written:
            path = build_path(EVENT, series.namespace, series.name)
            try:
                await self._sender.request(Request(Verb.PATCH, EVENT, path, body=changes))
            except NotFoundError:
                series.written = 0  # The API server deletes an Event after an hour.
            else:
                series.written = count
                return
        metadata = {"name": series.name, "namespace": series.namespace}
        body = {**event, "metadata": metadata, "firstTimestamp": series.first, **changes}
        try:
            await self._sender.request(Request(Verb.CREATE, EVENT, build_path(EVENT, series.namespace), body=body))
        except AlreadyExistsError:
            log.debug("event_exists", name=series.name)  # The answer to an earlier attempt was lost.
        series.written = count

    def _find_series(self, event: Body) -> Series:
        key = (_identify(event), event["type"], event["reason"], event["message"])
        series = self._series.get(key)
        if series is None:
            metadata, stamp = event["metadata"], event["firstTimestamp"]
            series = Series(metadata["name"], metadata["namespace"], stamp, stamp)
        _remember(self._series, key, series)
        return series

    def _take_budget(self, key: Hashable) -> bool:
        elapsed = self._elapsed()
        budget = self._budgets.get(key) or Budget(BURST, elapsed)
        budget.tokens = min(BURST, budget.tokens + (elapsed - budget.at) / REFILL_SECONDS)
        budget.at = elapsed
        _remember(self._budgets, key, budget)
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True


def _identify(event: Body) -> Hashable:
    involved = event["involvedObject"]
    return involved["kind"], involved["namespace"], involved["name"], involved["uid"]


def _remember(cache: collections.OrderedDict[Hashable, T], key: Hashable, value: T) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > REMEMBERED:
        cache.popitem(last=False)


def _drop(reason: Dropped) -> None:
    metrics.EVENTS_DROPPED.labels(reason.value).inc()


def _drop_with_log(reason: Dropped, event: Body, error: ClusterError) -> bool:
    _drop(reason)
    log.warning("event_not_recorded", reason=event["reason"], error=str(error))
    return False
