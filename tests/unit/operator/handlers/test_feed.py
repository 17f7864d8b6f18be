"""Kopf as the feed: it ends last and at once, and its failure stops the replica."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest

from tunewright_operator.handlers.feed import FeedEndedError, KopfFeed

PATIENCE_OF_KOPF_SECONDS = 5
"""How long Kopf waits at its end for tasks that it does not know."""


@pytest.fixture
async def stop() -> AsyncIterator[asyncio.Event]:
    yield asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


@pytest.fixture
def registry() -> kopf.OperatorRegistry:
    """Handlers without a cluster: Kopf starts, and waits for credentials."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def log_in(**_: Any) -> None:
        await asyncio.Event().wait()

    return registry


async def test_it_starts_and_ends_although_a_task_of_another_is_still_running(
    registry: kopf.OperatorRegistry, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_later = loop.call_later

    def record(delay: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(delay)
        return call_later(delay, *arguments, **options)

    async with asyncio.timeout(60):
        async with KopfFeed(registry, "pod", stop) as feed:
            await feed.wait_until_filled()
            connection = asyncio.create_task(asyncio.sleep(3600))
            monkeypatch.setattr(loop, "call_later", record)
        assert connection.cancelled(), "Kopf counts it as one of its own"
    assert PATIENCE_OF_KOPF_SECONDS not in timers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_replica_and_not_the_watches(
    registry: kopf.OperatorRegistry, stop: asyncio.Event, number: signal.Signals
) -> None:
    async with asyncio.timeout(60), KopfFeed(registry, "pod", stop) as feed:
        await feed.wait_until_filled()
        os.kill(os.getpid(), number)
        await stop.wait()
        assert not feed._kopf.done()


@pytest.mark.parametrize(("error", "raised"), [(KeyError("uid"), KeyError), (None, FeedEndedError)])
async def test_watches_that_end_stop_the_replica_with_an_error(
    registry: kopf.OperatorRegistry,
    stop: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
    raised: type[Exception],
) -> None:
    async def spawn(**_: Any) -> list[asyncio.Task[None]]:
        return []

    async def run(_tasks: Any, **_: Any) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", run)
    with pytest.raises(raised):
        async with asyncio.timeout(60), KopfFeed(registry, "pod", stop):
            await stop.wait()
