"""Values are read again when they are too old for their use."""

from __future__ import annotations

import asyncio

import pytest

from support.clusters.fake_cluster import Clock
from tunewright_operator.store import timed_cache
from tunewright_operator.store.timed_cache import TimedCache


class Source:
    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> int:
        self.reads += 1
        return self.reads


async def test_a_value_is_read_again_when_it_is_too_old():
    clock, source = Clock(), Source()
    cache: TimedCache[int] = TimedCache(clock)
    for seconds, expected in ((0, 1), (9, 1), (1, 2), (9, 2), (-3600, 3), (9, 3)):  # The clock may be set back.
        clock.advance(seconds)
        assert await cache.get("key", lambda _: 10.0, source.read) == expected
    assert await cache.get("other", lambda _: 10.0, source.read) == 4


async def test_how_old_a_value_may_be_depends_on_it_and_on_the_use():
    clock, source = Clock(), Source()
    cache: TimedCache[int] = TimedCache(clock)

    def max_age(value: int) -> float:
        return 60.0 if value == 2 else 5.0

    assert await cache.get("key", max_age, source.read) == 1
    clock.advance(5)
    assert await cache.get("key", max_age, source.read) == 2
    clock.advance(30)
    assert await cache.get("key", max_age, source.read) == 2
    assert await cache.get("key", lambda _: 5.0, source.read) == 3


async def test_a_failed_read_is_not_kept():
    cache: TimedCache[int] = TimedCache(Clock())
    source = Source()

    async def fail() -> int:
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        await cache.get("key", lambda _: 10.0, fail)
    assert await cache.get("key", lambda _: 10.0, source.read) == 1


async def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timed_cache, "MAX_ENTRIES", 3)
    cache: TimedCache[int] = TimedCache(Clock())
    for key in range(10):
        await cache.get(key, lambda _: 10.0, Source().read)
        assert len(cache._values) <= 3


class SlowSource(Source):
    """Answers when the test lets it, with a value or an error."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[asyncio.Future[int]] = []

    async def read(self) -> int:
        self.reads += 1
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


class Asking:
    """Several tasks that want the same value."""

    def __init__(self) -> None:
        self.clock, self.source = Clock(), SlowSource()
        self.cache: TimedCache[int] = TimedCache(self.clock)

    def ask(self) -> asyncio.Task[int]:
        return asyncio.create_task(self.cache.get("key", lambda _: 5.0, self.source.read))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_those_who_ask_at_the_same_time_share_a_read():
    world = Asking()
    tasks = [world.ask() for _ in range(8)]
    await world.settle()
    world.clock.advance(30)
    world.source.answers[0].set_result(7)
    assert await asyncio.gather(*tasks) == [7] * 8
    assert world.source.reads == 1


async def test_a_read_that_began_too_early_is_not_shared():
    world = Asking()
    early = world.ask()
    await world.settle()
    world.clock.advance(5)
    late = [world.ask() for _ in range(2)]
    await world.settle()
    world.source.answers[0].set_result(7)
    await world.settle()
    world.source.answers[1].set_result(8)
    assert [await task for task in (early, *late)] == [7, 8, 8]
    assert world.source.reads == 2


async def test_those_who_share_a_read_share_its_error():
    world = Asking()
    tasks = [world.ask() for _ in range(3)]
    await world.settle()
    world.source.answers[0].set_exception(OSError("no answer"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in results] == ["no answer"] * 3
    assert world.source.reads == 1


async def test_another_one_reads_if_the_first_one_is_cancelled():
    world = Asking()
    first, second, third = (world.ask() for _ in range(3))
    await world.settle()
    third.cancel()
    await world.settle()
    first.cancel()
    await world.settle()
    world.source.answers[1].set_result(7)
    assert await second == 7
    assert first.cancelled()
    assert third.cancelled()
