"""Resources are reconciled when they are woken, retried, and forgotten; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from support.virtual_time import in_virtual_time
from tunewright_operator.api.kinds import FINE_TUNE_JOB, MODEL_SERVER, Kind
from tunewright_operator.cluster import ConflictError, UnavailableError
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.runner import (
    CONFLICT_BACKOFF_SECONDS,
    Again,
    GoneError,
    Runner,
    backoff_seconds,
    plan_next,
)

KEY = Key(FINE_TUNE_JOB, "ns", "job")
Answer = float | Exception | None


class World:
    """A reconciler with a script: it raises an exception or returns a number, and after the script None."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.calls: list[Key] = []
        self.times: list[float] = []
        self.reported: list[str] = []
        self.backoffs: list[int] = []
        self.seconds: Callable[[Key], float] = lambda _: 0.0
        """How long a reconciliation takes."""
        self.during: Callable[[int], None] = lambda _: None
        """What happens during the n-th reconciliation."""
        self.forgotten: list[int] = []
        """How many reconciliations had ended each time its resource was forgotten."""
        self.ended = 0
        self.runner: Runner

    @asynccontextmanager
    async def running(self, workers: Mapping[Kind, int] | None = None) -> AsyncIterator[Runner]:
        limits = workers or {FINE_TUNE_JOB: 8}
        reconcilers = dict.fromkeys(limits, self.reconcile)
        self.runner = Runner(reconcilers, self.report, limits, forgotten=self.forget, backoff=self.back_off)
        yield self.runner
        await self.runner.close()

    async def reconcile(self, key: Key) -> float | None:
        self.calls.append(key)
        self.times.append(asyncio.get_running_loop().time())
        self.during(len(self.calls))
        await asyncio.sleep(self.seconds(key))
        self.ended += 1
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step

    def forget(self, key: Key) -> None:
        self.forgotten.append(self.ended)

    async def report(self, key: Key, error: Exception) -> None:
        self.reported.append(f"{key.name}: {error}")
        raise UnavailableError("the report fails too, and must not end the worker")

    def back_off(self, failures: int) -> float:
        self.backoffs.append(failures)
        return 2.0**failures


@pytest.mark.parametrize(
    ("script", "times"),
    [
        pytest.param([], [0], id="only when woken"),
        pytest.param([30, 5000], [0, 30, 5030], id="the answered times"),
        pytest.param([0, 0, None], [0, 0, 0], id="at once"),
        pytest.param([UnavailableError("away")] * 2 + [None], [0, 2, 6], id="unavailable"),
        pytest.param([UnavailableError("busy", retry_after=9)] * 4 + [None], [0, 9, 18, 27, 43], id="asked to wait"),
        pytest.param([RuntimeError("a bug")] * 2 + [None], [0, 2, 6], id="a bug"),
        pytest.param([UnavailableError("away"), 9, UnavailableError("away"), None], [0, 2, 11, 13], id="recovered"),
        pytest.param([ConflictError("changed"), None], [0, CONFLICT_BACKOFF_SECONDS], id="a conflict"),
        pytest.param([UnavailableError("away"), GoneError()], [0, 2], id="gone"),
    ],
)
@in_virtual_time
async def test_when_a_resource_is_reconciled_again(script: list[Answer], times: list[float]):
    world = World(*script)
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(10_000)
    assert world.times == times
    assert runner._failures == {}


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (None, None),
        (5, Again(5, Urgency.TIMER)),
        (0, Again(0, Urgency.USER)),
    ],
)
def test_an_answer_means_a_time_and_an_urgency(answer: float | None, again: Again | None):
    assert plan_next(answer, Urgency.USER) == again


@in_virtual_time
async def test_only_an_unexpected_error_is_reported():
    world = World(UnavailableError("away"), RuntimeError("a bug"), ConflictError("changed"), GoneError())
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(100)
    assert len(world.calls) == 4
    assert world.reported == ["job: a bug"]


@in_virtual_time
async def test_a_forgotten_resource_is_not_reconciled_again():
    world = World(UnavailableError("away"), UnavailableError("away"))
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(1)
        runner.forget(KEY)
        await asyncio.sleep(5000)
    assert len(world.calls) == 1
    assert world.forgotten == [1]
    assert runner._failures == {}


@pytest.mark.parametrize("answer", [30, UnavailableError("away"), GoneError(), ConflictError("changed")])
@in_virtual_time
async def test_a_reconciliation_during_which_its_resource_is_deleted_is_the_last_one(answer: Answer):
    world = World(answer)
    world.during = lambda _: world.runner.forget(KEY)
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(5000)
    assert len(world.calls) == 1
    assert world.forgotten == [0, 1], "again at its end, since it may have remembered the resource"
    assert runner._failures == {}


@in_virtual_time
async def test_a_resource_created_again_while_its_predecessor_is_reconciled_follows():
    world = World(None, None)
    world.seconds = lambda _: 10

    def replace(call: int) -> None:
        if call == 1:
            world.runner.forget(KEY)
            world.runner.wake(KEY, Urgency.USER)

    world.during = replace
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(5000)
    assert world.times == [0, 10]


@in_virtual_time
async def test_a_resource_created_again_after_the_read_that_did_not_find_it_is_reconciled():
    world = World(GoneError())

    def create(call: int) -> None:
        if call == 1:
            world.runner.wake(KEY, Urgency.USER)

    world.during = create
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(1)
    assert len(world.calls) == 2


@in_virtual_time
async def test_an_unreachable_node_of_one_kind_delays_no_other_kind():
    world = World()
    world.seconds = lambda key: 30 if key.kind is MODEL_SERVER else 0
    async with world.running({MODEL_SERVER: 2, FINE_TUNE_JOB: 2}) as runner:
        for number in range(100):
            runner.wake(Key(MODEL_SERVER, "serving", str(number)), Urgency.TIMER)
        await asyncio.sleep(10)
        runner.wake(KEY, Urgency.TIMER)
        await asyncio.sleep(10)
    assert dict(zip(world.calls, world.times, strict=True))[KEY] == 10


@pytest.mark.parametrize("urgency", list(Urgency))
@in_virtual_time
async def test_ten_thousand_jobs_of_a_namespace_delay_a_job_of_another_one_by_one_turn(urgency: Urgency):
    world = World()
    world.seconds = lambda _: 1
    async with world.running({FINE_TUNE_JOB: 1}) as runner:
        for number in range(10_000):
            runner.wake(Key(FINE_TUNE_JOB, "big", str(number)), urgency)
        await asyncio.sleep(1000.5)
        runner.wake(KEY, urgency)
        await asyncio.sleep(10)
    assert world.times[world.calls.index(KEY)] <= 1003


@in_virtual_time
async def test_a_persons_change_waits_for_one_reconciliation_while_ten_thousand_jobs_are_listed():
    world = World()
    world.seconds = lambda _: 0.01
    async with world.running({FINE_TUNE_JOB: 1}) as runner:
        for number in range(10_000):
            runner.wake(Key(FINE_TUNE_JOB, f"team-{number % 100}", str(number)), Urgency.LISTING)
        await asyncio.sleep(60)
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(1)
    assert world.times[world.calls.index(KEY)] == pytest.approx(60, abs=0.021)


@in_virtual_time
async def test_reconciliations_are_cancelled_at_the_end():
    world = World()
    world.seconds = lambda _: 1000
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(1)
    runner.wake(KEY, Urgency.USER)
    await asyncio.sleep(5000)
    assert len(world.calls) == 1


def metric(name: str, **labels: Any) -> float | None:
    return REGISTRY.get_sample_value(f"tunewright_operator_{name}", {"kind": "FineTuneJob", **labels})


@in_virtual_time
async def test_a_conflict_keeps_the_urgency():
    world = World(ConflictError("changed"), None)
    before = metric("queue_wait_seconds_count", urgency="user") or 0
    async with world.running() as runner:
        runner.wake(KEY, Urgency.USER)
        await asyncio.sleep(1)
    assert metric("queue_wait_seconds_count", urgency="user") == before + 2


@in_virtual_time
async def test_metrics_show_the_queue():
    world = World(*[30] * 3)
    world.seconds = lambda _: 10
    waits = metric("queue_wait_seconds_sum", urgency="user") or 0
    async with world.running({FINE_TUNE_JOB: 2}) as runner:
        for number in range(3):
            runner.wake(Key(FINE_TUNE_JOB, "ns", str(number)), Urgency.USER)
        await asyncio.sleep(6)
        assert metric("queue_depth", urgency="user") == 1
        assert metric("queue_depth", urgency="listing") == 0
        assert metric("queue_oldest_seconds", urgency="user") == 6
        assert (metric("workers"), metric("workers_busy"), metric("timers")) == (2, 2, 0)
        await asyncio.sleep(20)
        assert metric("queue_depth", urgency="user") == 0
        assert (metric("workers_busy"), metric("timers")) == (0, 3)
    assert metric("queue_wait_seconds_sum", urgency="user") == waits + 10


def test_backoff_doubles_to_a_minute():
    waits = [backoff_seconds(failures) for failures in (1, 2, 3, 4, 40)]
    for wait, middle in zip(waits, (1, 2, 4, 8, 60), strict=True):
        assert middle * 0.8 <= wait <= middle * 1.2
