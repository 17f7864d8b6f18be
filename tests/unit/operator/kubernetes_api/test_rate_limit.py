"""The token bucket in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from tunewright_operator.kubernetes_api.rate_limit import RateLimit, TokenBucket


class Time:
    """A clock that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))


def make_bucket(time: Time, per_second: float = 10, burst: int = 3) -> TokenBucket:
    return TokenBucket(RateLimit(per_second, burst), now=time.read, sleep=time.sleep)


async def test_a_burst_is_sent_at_once_and_more_waits_in_order():
    time = Time()
    bucket = make_bucket(time)
    for _ in range(6):
        await bucket.acquire()
    assert time.slept == [0.1, 0.2, 0.3]


async def test_tokens_return_with_time_up_to_the_burst():
    time = Time()
    bucket = make_bucket(time)
    for _ in range(5):
        await bucket.acquire()
    time.now += 0.45  # the two that wait, and two more
    await bucket.acquire()
    await bucket.acquire()
    assert time.slept == [0.1, 0.2]
    time.now += 1_000
    for _ in range(4):
        await bucket.acquire()
    assert time.slept == [0.1, 0.2, 0.1]


async def test_the_rate_holds_over_a_long_time():
    time = Time()
    bucket = make_bucket(time, per_second=200, burst=400)
    for _ in range(10_000):
        await bucket.acquire()
    assert time.slept[-1] == pytest.approx((10_000 - 400) / 200)


async def test_a_cancelled_caller_returns_its_token():
    time = Time()
    waiting = asyncio.Event()

    async def wait_forever(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    bucket = TokenBucket(RateLimit(10, 1), now=time.read, sleep=wait_forever)
    await bucket.acquire()
    task = asyncio.create_task(bucket.acquire())
    await waiting.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    time.now += 0.1
    await bucket.acquire()
