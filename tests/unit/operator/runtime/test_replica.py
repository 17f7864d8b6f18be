"""A replica watches from its start, is a candidate when its caches are filled, and works while it leads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

import pytest

from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.replica import run_replica, until_stopped


class Step:
    """A context that records its begin and its end, and an event that is awaited in it."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen
        self.comes = asyncio.Event()
        self.is_awaited = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.seen.append(f"{self.name} begins")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.seen.append(f"{self.name} ends")

    async def _wait(self) -> None:
        self.is_awaited.set()
        await self.comes.wait()


class Feed(Step):
    async def wait_until_filled(self) -> None:
        await self._wait()


class Leader(Step):
    async def wait_until_leader(self) -> None:
        self.seen.append("candidate")
        await self._wait()


class World:
    """A replica with fakes, and what happened in it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.feed = Feed("feed", self.seen)
        self.leader = Leader("leader", self.seen)
        self.stop = asyncio.Event()
        self.works = asyncio.Event()
        self.work_error: Exception | None = None

    @contextlib.asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        if self.work_error is not None:
            raise self.work_error
        self.seen.append("work begins")
        self.works.set()
        try:
            yield
        finally:
            await asyncio.sleep(0)  # The loops need a moment to end.
            self.seen.append("work ends")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        on_filled = lambda: self.seen.append("filled")  # noqa: E731
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(run_replica(self.feed, self.leader, self.work, self.stop, on_filled=on_filled))
            yield


@pytest.fixture
async def world() -> World:
    return World()


async def test_the_lease_is_released_after_the_work_and_before_the_watches_end(world: World):
    async with world.running():
        world.feed.comes.set()
        world.leader.comes.set()
        await world.works.wait()
        world.stop.set()
    assert world.seen == [
        "feed begins",
        "leader begins",
        "filled",
        "candidate",
        "work begins",
        "work ends",
        "leader ends",
        "feed ends",
    ]


async def test_a_replica_is_no_candidate_until_its_caches_are_filled(world: World):
    metrics.WARM.set(0)
    async with world.running():
        await world.feed.is_awaited.wait()
        assert world.seen == ["feed begins", "leader begins"], "it observes the Lease already"
        assert metrics.WARM._value.get() == 0
        world.feed.comes.set()
        await world.leader.is_awaited.wait()
        assert world.seen[2:] == ["filled", "candidate"]
        assert metrics.WARM._value.get() == 1
        world.stop.set()


@pytest.mark.parametrize("filled", [False, True])
async def test_a_standby_ends_at_once_and_never_works(world: World, filled: bool):
    async with world.running():
        await world.feed.is_awaited.wait()
        if filled:
            world.feed.comes.set()
            await world.leader.is_awaited.wait()
        world.stop.set()
    assert "work begins" not in world.seen
    assert world.seen[-2:] == ["leader ends", "feed ends"]


async def test_the_lease_is_released_if_the_work_cannot_begin(world: World):
    world.work_error = RuntimeError("no port")
    world.feed.comes.set()
    world.leader.comes.set()
    with pytest.raises(ExceptionGroup):
        async with world.running():
            pass
    assert world.seen[-2:] == ["leader ends", "feed ends"]


async def test_work_that_fails_before_the_stop_raises_its_error():
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await until_stopped(fail(), asyncio.Event())
