"""Values are read again when they are too old for their use."""

from __future__ import annotations

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
    for seconds, expected in ((0, 1), (9, 1), (1, 2), (9, 2)):
        clock.advance(seconds)
        assert await cache.get("key", lambda _: 10.0, source.read) == expected
    assert await cache.get("other", lambda _: 10.0, source.read) == 3


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
