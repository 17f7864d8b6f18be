"""The workers of a queue, in virtual time."""

from __future__ import annotations

import asyncio

from support.virtual_time import in_virtual_time
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.queue import COALESCE_SECONDS, Work, WorkQueue
from tunewright_operator.runtime.workers import Workers


def key(name: object) -> Key:
    return Key(FINE_TUNE_JOB, "ns", str(name))


class Shop:
    """A queue with workers that record when they began which key."""

    def __init__(self, limit: int = 8, seconds: float = 0.0) -> None:
        self.began: list[tuple[str, float]] = []
        self.seconds = seconds
        self.queue = WorkQueue(asyncio.get_running_loop().time)
        self.workers = Workers(self.queue, self.work_on, limit=limit, name="test")
        self.most = 0

    async def work_on(self, work: Work) -> None:
        self.began.append((work.key.name, asyncio.get_running_loop().time()))
        self.most = max(self.most, self.workers.busy)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.queue.done(work)

    def wake(self, name: object, urgency: Urgency = Urgency.USER) -> None:
        self.queue.wake(key(name), urgency)
        self.workers.start()


@in_virtual_time
async def test_a_key_is_worked_on_at_once():
    shop = Shop()
    shop.wake("a")
    await asyncio.sleep(0)
    assert shop.began == [("a", 0)]
    await asyncio.sleep(1)
    assert shop.workers.busy == 0
    await shop.workers.close()


@in_virtual_time
async def test_no_more_than_the_limit_work_at_once_and_all_keys_are_served():
    shop = Shop(limit=2, seconds=1)
    for name in range(6):
        shop.wake(name)
    await asyncio.sleep(10)
    assert [time for _, time in shop.began] == [0, 0, 1, 1, 2, 2]
    assert shop.most == 2
    await shop.workers.close()


@in_virtual_time
async def test_keys_are_worked_on_when_they_are_due():
    shop = Shop()
    shop.queue.after(key("late"), 600, Urgency.LISTING)
    shop.workers.start()
    shop.queue.after(key("early"), 5, Urgency.TIMER)
    shop.workers.start()
    shop.wake("child", Urgency.CHILD)
    await asyncio.sleep(1000)
    assert shop.began == [("child", COALESCE_SECONDS), ("early", 5), ("late", 600)]
    await shop.workers.close()


@in_virtual_time
async def test_a_key_that_is_due_while_all_workers_work_is_next():
    shop = Shop(limit=1, seconds=10)
    shop.queue.after(key("due"), 5, Urgency.TIMER)
    shop.queue.after(key("later"), 30, Urgency.TIMER)
    shop.wake("a")
    await asyncio.sleep(1000)
    assert shop.began == [("a", 0), ("due", 10), ("later", 30)]
    await shop.workers.close()


@in_virtual_time
async def test_an_alarm_for_a_forgotten_key_does_no_harm():
    shop = Shop()
    shop.queue.after(key("forgotten"), 5, Urgency.TIMER)
    shop.queue.after(key("kept"), 7, Urgency.TIMER)
    shop.workers.start()
    shop.queue.forget(key("forgotten"))
    await asyncio.sleep(10)
    assert shop.began == [("kept", 7)]
    await shop.workers.close()


@in_virtual_time
async def test_other_tasks_run_between_two_keys_that_wait_for_nothing():
    shop = Shop(limit=1)
    for name in range(100):
        shop.wake(name)
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0 < len(shop.began) < 15
    await asyncio.sleep(1)
    assert len(shop.began) == 100
    await shop.workers.close()


@in_virtual_time
async def test_closed_workers_have_ended_and_start_no_more():
    shop = Shop(seconds=10)
    shop.queue.after(key("due"), 5, Urgency.TIMER)
    shop.wake("a")
    await asyncio.sleep(1)
    await shop.workers.close()
    assert shop.workers.busy == 0
    shop.wake("b")
    await asyncio.sleep(100)
    assert [name for name, _ in shop.began] == ["a"]
