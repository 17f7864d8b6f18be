"""The leader thread: elects the leader on a separate thread, so that work on the main loop never delays a renewal.

The thread has its own event loop and its own API client, with its own connection and token. So neither a blocked or
busy main loop, nor a long list, nor a full connection pool costs leadership.

The thread ends the process, without any cleanup, when

- leadership is lost. By then the fence already refuses the main loop's writes (`fence`), and no other replica may lead
  for some more seconds (`LEASE_SECONDS` - `RENEW_DEADLINE_SECONDS`);
- the main loop has not run for `STALL_LIMIT_SECONDS`, so that a dead main loop does not keep the Lease;
- the election itself fails unexpectedly.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable
from typing import NoReturn, Self

import structlog

from tunewright_operator.cluster import Cluster
from tunewright_operator.runtime.heartbeat import Heartbeat
from tunewright_operator.runtime.leadership import Leadership
from tunewright_operator.runtime.term import LeadershipLostError, Term

STALL_LIMIT_SECONDS = 120.0
"""A main loop that has not run for this time counts as dead, and the process ends.

The longest work in one pass is a page of a list, or the first wake-up of all resources: less than a second of CPU for
10,000 resources. To restart a busy process on a slow machine would repeat its work. So the limit is far longer. It
bounds how long a dead main loop keeps other replicas from taking over.
"""
WATCH_SECONDS = 1.0
RELEASE_SECONDS = 5.0
CLOSE_SECONDS = 10.0
"""How long the main loop waits for the end of the thread; the pod has 30 s after SIGTERM."""
LOG_SECONDS = 1.0
"""How long the last log line may take, since the stalled main thread may hold the lock of the log."""

OpenCluster = Callable[[], contextlib.AbstractAsyncContextManager[Cluster]]
"""Opens an API client of the event loop that calls it."""
EndProcess = Callable[[BaseException], None]

log = structlog.get_logger(__name__)


class MainLoopStalledError(Exception):
    """The main loop has not run for too long; ``stack`` is what its thread executes."""

    def __init__(self, message: str, stack: str) -> None:
        super().__init__(message)
        self.stack = stack


def end_process(error: BaseException) -> NoReturn:
    """Log the error and end the process with exit code 1, without cleanup: that would need the main loop."""
    try:
        guard = threading.Timer(LOG_SECONDS, os._exit, (1,))
        guard.daemon = True
        guard.start()
        match error:
            case LeadershipLostError():
                log.critical("leadership_lost", error=str(error))
            case MainLoopStalledError():
                log.critical("main_loop_stalled", error=str(error), stack=error.stack)
            case _:
                log.critical("leader_election_failed", exc_info=error)
    finally:
        os._exit(1)


class LeaderThread:
    """Leader election of this process; a context manager of the main loop, which must do its work inside.

    At the end of the context the work has ended. Then the term ends, and only then the Lease is released.
    """

    def __init__(
        self,
        open_cluster: OpenCluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        end_process: EndProcess = end_process,
    ) -> None:
        self.term = Term()
        self._open_cluster = open_cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._end_process = end_process
        self._heartbeat = Heartbeat()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._is_candidate = asyncio.Event()
        self._acquired: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._acquired.set_running_or_notify_cancel()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()
        # A daemon: a thread that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="leader-election", daemon=True)

    async def __aenter__(self) -> Self:
        """Start the election; it does not wait until this replica leads."""
        self._heartbeat.start()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the term, release the Lease if this replica holds it, and end the thread."""
        try:
            with contextlib.suppress(RuntimeError):  # The thread has ended and closed its loop.
                self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.wait_for(asyncio.wrap_future(self._ended), CLOSE_SECONDS)
        except TimeoutError:
            log.warning("leader_thread_not_ended", seconds=CLOSE_SECONDS)
        finally:
            self.term.end()
            self._heartbeat.stop()

    async def wait_until_leader(self) -> None:
        """Become a candidate, and wait until this replica leads. Until then, the thread only observes the Lease."""
        with contextlib.suppress(RuntimeError):  # The thread has ended and closed its loop.
            self._loop.call_soon_threadsafe(self._is_candidate.set)
        await asyncio.wrap_future(self._acquired)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._elect_or_end())
        finally:
            self._ended.set_result(None)

    async def _elect_or_end(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                cluster = await stack.enter_async_context(self._open_cluster())
                await self._elect(cluster)
            except BaseException as error:  # noqa: BLE001 - whatever it is, nothing renews the Lease after it
                # Before the client is closed, which may take longer than the Lease lasts.
                self.term.end()
                self._end_process(error)
                if not self._acquired.done():
                    self._acquired.set_exception(error)

    async def _elect(self, cluster: Cluster) -> None:
        """Acquire and hold the Lease until the main loop stops the thread, then release the Lease.

        Raises:
            LeadershipLostError: leadership is lost.
            MainLoopStalledError: the main loop counts as dead.
        """
        election = Leadership(cluster, self.term, namespace=self._namespace, name=self._name, identity=self._identity)
        stopped = asyncio.create_task(self._stop.wait())
        work = [asyncio.create_task(self._lead(election)), asyncio.create_task(self._watch_main_loop())]
        await asyncio.wait({stopped, *work}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            for task in work:
                if task.done():
                    task.result()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self._release(election)

    async def _lead(self, election: Leadership) -> NoReturn:
        await election.observe(until=self._is_candidate)
        await election.acquire()
        self._acquired.set_result(None)
        await election.hold()
        raise LeadershipLostError("the Lease could not be renewed in time, or another replica holds it")

    async def _watch_main_loop(self) -> NoReturn:
        while (age := self._heartbeat.age()) < STALL_LIMIT_SECONDS:  # noqa: ASYNC110 - no event of this loop: the other one is watched
            await asyncio.sleep(WATCH_SECONDS)
        raise MainLoopStalledError(f"the main event loop has not run for {age:.0f} s", self._heartbeat.format_stack())

    async def _release(self, election: Leadership) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await election.release()
        except TimeoutError:
            log.warning("lease_not_released", error="the API server did not answer in time")
