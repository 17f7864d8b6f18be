"""Loops are woken, retried, limited and ended."""

from __future__ import annotations

import asyncio

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB, Kind
from tunewright_operator.cluster import ConflictError, UnavailableError
from tunewright_operator.runtime.runner import GONE_ANSWERS, GoneError, Reconcile, Runner, backoff_seconds
from tunewright_operator.runtime.wakeups import Key, Wakeups

KEY = Key(FINE_TUNE_JOB, "ns", "job")


class Recorder:
    """A reconciler with a script: it raises an exception, returns a number, and after the script returns None."""

    def __init__(self, *script: float | Exception | None) -> None:
        self.script = list(script)
        self.calls: list[Key] = []
        self.called = asyncio.Event()

    async def __call__(self, key: Key) -> float | None:
        self.calls.append(key)
        self.called.set()
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step

    async def until(self, count: int) -> None:
        while len(self.calls) < count:
            self.called.clear()
            await self.called.wait()


async def report_nothing(key: Key, error: Exception) -> None:
    """A report that does nothing."""


def make_runner(reconcile: Reconcile, wakeups: Wakeups | None = None, kind: Kind = FINE_TUNE_JOB, **options) -> Runner:
    return Runner(
        {kind: reconcile}, wakeups or Wakeups(), options.pop("report", report_nothing), backoff=lambda _: 0, **options
    )


async def until_ended(runner: Runner, wakeups: Wakeups) -> None:
    while runner.is_running(KEY):  # noqa: ASYNC110 - no event reports the end of a loop
        await asyncio.sleep(0)
    assert not wakeups.wake(KEY)


async def test_a_new_loop_reconciles_at_once_and_then_when_woken():
    wakeups, recorder = Wakeups(), Recorder()
    runner = make_runner(recorder, wakeups)
    runner.ensure(KEY)
    await recorder.until(1)
    assert wakeups.wake(KEY)
    await recorder.until(2)
    runner.ensure(KEY)
    await recorder.until(3)
    await runner.close()
    assert not wakeups.wake(KEY)


@pytest.mark.parametrize("error", [UnavailableError("away"), RuntimeError("a bug"), ConflictError("changed")])
async def test_a_failure_does_not_end_the_loop(error: Exception):
    recorder = Recorder(error, error)
    runner = make_runner(recorder)
    runner.ensure(KEY)
    await recorder.until(3)
    await runner.close()


async def test_only_an_unexpected_failure_is_reported():
    reported: list[str] = []

    async def report(key: Key, error: Exception) -> None:
        reported.append(f"{key.name}: {error}")
        raise UnavailableError("the report fails too, and must not end the loop")

    recorder = Recorder(UnavailableError("away"), RuntimeError("a bug"), ConflictError("changed"))
    runner = make_runner(recorder, report=report)
    runner.ensure(KEY)
    await recorder.until(4)
    await runner.close()
    assert reported == ["job: a bug"]


async def test_the_returned_seconds_set_the_next_reconciliation():
    recorder = Recorder(0, 0, 0)
    runner = make_runner(recorder)
    runner.ensure(KEY)
    await recorder.until(4)
    await runner.close()


async def test_a_loop_ends_with_its_resource_and_can_begin_again():
    wakeups, recorder = Wakeups(), Recorder(*[GoneError()] * GONE_ANSWERS)
    runner = make_runner(recorder, wakeups)
    runner.ensure(KEY)
    await until_ended(runner, wakeups)
    assert len(recorder.calls) == GONE_ANSWERS
    runner.ensure(KEY)
    await recorder.until(GONE_ANSWERS + 1)
    assert runner.is_running(KEY)
    await runner.close()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([GoneError()], id="one"),
        pytest.param([GoneError()] * (GONE_ANSWERS - 1), id="a few in a row"),
        pytest.param([GoneError(), 0, GoneError(), 0, GoneError(), 0], id="many, but each between right ones"),
    ],
)
async def test_wrong_answers_that_the_resource_is_gone_do_not_end_its_loop(script: list[float | Exception | None]):
    wakeups, recorder = Wakeups(), Recorder(*script)
    runner = make_runner(recorder, wakeups)
    runner.ensure(KEY)
    async with asyncio.timeout(10):
        await recorder.until(len(script) + 1)
    assert runner.is_running(KEY)
    assert wakeups.wake(KEY)
    await runner.close()


async def test_answers_that_the_resource_is_gone_are_checked_after_a_growing_pause():
    pauses: list[int] = []

    def pause(failures: int) -> float:
        pauses.append(failures)
        return 0

    wakeups, recorder = Wakeups(), Recorder(*[GoneError()] * GONE_ANSWERS)
    runner = Runner({FINE_TUNE_JOB: recorder}, wakeups, report_nothing, backoff=pause)
    runner.ensure(KEY)
    await until_ended(runner, wakeups)
    assert pauses == [*range(1, GONE_ANSWERS)]


async def test_stop_ends_a_loop():
    wakeups, recorder = Wakeups(), Recorder()
    runner = make_runner(recorder, wakeups)
    runner.ensure(KEY)
    await recorder.until(1)
    runner.stop(KEY)
    await until_ended(runner, wakeups)
    assert len(recorder.calls) == 1


async def test_a_resource_created_again_while_its_loop_is_being_stopped_gets_a_loop():
    wakeups, recorder = Wakeups(), Recorder()
    runner = make_runner(recorder, wakeups)
    runner.ensure(KEY)
    await recorder.until(1)
    runner.stop(KEY)
    runner.ensure(KEY)  # before the cancelled loop has ended
    async with asyncio.timeout(10):
        await recorder.until(2)
        assert wakeups.wake(KEY)
        await recorder.until(3)
    await runner.close()


async def test_a_resource_created_again_while_its_loop_finds_it_gone_keeps_the_loop():
    wakeups, calls = Wakeups(), []

    async def reconcile(key: Key) -> None:
        calls.append(key)
        if len(calls) == 1:
            runner.ensure(key)  # created again after the read that did not find it
            raise GoneError(str(key))
        done.set()

    done = asyncio.Event()
    runner = make_runner(reconcile, wakeups)
    runner.ensure(KEY)
    async with asyncio.timeout(10):
        await done.wait()
    await runner.close()


async def test_no_more_than_the_limit_reconcile_at_once():
    running, most, release = 0, 0, asyncio.Event()
    entered = asyncio.Semaphore(0)

    async def reconcile(_: Key) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        entered.release()
        await release.wait()
        running -= 1

    runner = make_runner(reconcile, concurrency=2)
    for number in range(6):
        runner.ensure(Key(FINE_TUNE_JOB, "ns", str(number)))
    await entered.acquire()
    await entered.acquire()
    for _ in range(20):
        await asyncio.sleep(0)
    assert running == 2
    release.set()
    for _ in range(4):
        await entered.acquire()
    assert most == 2
    await runner.close()


def test_backoff_doubles_to_a_minute():
    waits = [backoff_seconds(failures) for failures in (1, 2, 3, 4, 40)]
    for wait, middle in zip(waits, (1, 2, 4, 8, 60), strict=True):
        assert middle * 0.8 <= wait <= middle * 1.2
