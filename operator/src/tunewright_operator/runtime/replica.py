"""The life of a replica: it watches from its start to its end, and works while it leads.

So a standby is warm: when it gets the Lease, its caches are filled, and it works at once. At the end, the work ends
first, then the Lease is released, and only then the watches end: the next leader waits for nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Protocol

import structlog

from tunewright_operator.runtime import metrics

log = structlog.get_logger(__name__)


class Feed(contextlib.AbstractAsyncContextManager[object], Protocol):
    """Watches the cluster and fills the caches until the end of its context, where it raises what made it fail.

    When it fails, it asks the replica to stop.
    """

    async def wait_until_filled(self) -> None:
        """Wait until everything that exists was listed once."""


class Leader(contextlib.AbstractAsyncContextManager[object], Protocol):
    """Leader election (`leader_thread.LeaderThread`); the end of its context releases the Lease."""

    async def wait_until_leader(self) -> None:
        """Become a candidate, and wait until this replica leads."""


Work = Callable[[], contextlib.AbstractAsyncContextManager[object]]
"""Does the work of the leader until the end of the context, at which it has ended."""


async def run_replica(
    feed: Feed, leader: Leader, work: Work, stop: asyncio.Event, *, on_filled: Callable[[], None]
) -> None:
    """Run a replica until ``stop`` is set.

    It becomes a candidate only when its caches are filled: until then, another replica is the better leader.
    """
    async with feed, leader:
        if not await until_stopped(feed.wait_until_filled(), stop):
            return
        on_filled()
        metrics.WARM.set(1)
        log.info("caches_filled")
        if not await until_stopped(leader.wait_until_leader(), stop):
            return
        async with work():
            await stop.wait()


async def until_stopped(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Run work until it is done or ``stop`` is set; return whether it is done."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        task.cancel()
        stopped.cancel()
