"""The poller in virtual time: intervals, limits, polls that a reconciliation waits for, and leadership."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY

from support.virtual_time import in_virtual_time
from tunewright_operator.runtime.polling.poller import Outcome, Poller
from tunewright_operator.runtime.polling.schedule import PollSchedule


class Pod:
    """A target whose poll takes a time and has an outcome."""

    kind = "server"

    def __init__(self, outcome: Outcome = Outcome.CHANGED, seconds: float = 0.0) -> None:
        self.outcome = outcome
        self.seconds = seconds
        self.polled: list[float] = []
        self.running = 0
        self.error: Exception | None = None

    async def poll(self) -> Outcome:
        self.polled.append(asyncio.get_running_loop().time())
        self.running += 1
        assert self.running == 1, "it is polled twice at the same time"
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return self.outcome


@contextlib.asynccontextmanager
async def running(
    schedule: PollSchedule | None = None, is_leading: Callable[[], bool] = lambda: True
) -> AsyncIterator[Poller]:
    poller = Poller(is_leading=is_leading, schedule=schedule, clock=asyncio.get_running_loop().time)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def count(outcome: str) -> float:
    labels = {"kind": "server", "outcome": outcome}
    return REGISTRY.get_sample_value("tunewright_operator_pod_polls_total", labels) or 0.0


def count_followed() -> float:
    return REGISTRY.get_sample_value("tunewright_operator_polled_pods", {"kind": "server"}) or 0.0


@in_virtual_time
async def test_targets_are_polled_at_their_intervals() -> None:
    quiet, busy = Pod(), Pod()
    async with running() as poller:
        poller.follow("quiet", quiet, "a", 10)
        poller.follow("busy", busy, "b", 2)
        await asyncio.sleep(21)
        poller.follow("quiet", quiet, "a", 5)
        await asyncio.sleep(10)
    assert quiet.polled == [0, 10, 20, 25, 30]
    assert busy.polled == list(range(0, 31, 2))


@in_virtual_time
async def test_pods_of_a_black_holed_node_delay_no_others() -> None:
    """32 pods take the whole timeout of every poll; 100 servers continue to be polled on time."""
    dead = [Pod(Outcome.UNREACHABLE, seconds=2.0) for _ in range(32)]
    good = [Pod(seconds=0.01) for _ in range(400)]
    async with running() as poller:
        for number, pod in enumerate(dead):
            poller.follow(f"dead-{number}", pod, f"server-{number}", 2)
        for number, pod in enumerate(good):
            poller.follow(f"good-{number}", pod, f"server-{number % 100}", 2)
        await asyncio.sleep(59)
    for pod in good:
        assert len(pod.polled) == 30
        pauses = [after - before for before, after in itertools.pairwise(pod.polled)]
        assert max(pauses) < 2.2
    for pod in dead:
        assert len(pod.polled) < 12, "they have never answered, and are polled every 5 s and the 2 s of the timeout"


@in_virtual_time
async def test_a_pod_that_stops_answering_is_asked_ever_more_rarely_and_then_again_as_usual() -> None:
    pod = Pod()
    async with running() as poller:
        poller.follow("a", pod, "a", 2)
        await asyncio.sleep(1)
        pod.outcome, pod.seconds = Outcome.UNREACHABLE, 2.0
        await asyncio.sleep(80)
        assert pod.polled == [0, 2, 6, 12, 22, 40, 72]
        pod.outcome, pod.seconds = Outcome.CHANGED, 0.0
        await asyncio.sleep(28)
        assert pod.polled[7:] == [104, 106, 108]


@in_virtual_time
async def test_outcomes_are_counted() -> None:
    before, followed = {outcome.value: count(outcome.value) for outcome in Outcome}, count_followed()
    async with running() as poller:
        for outcome in Outcome:
            poller.follow(outcome, Pod(outcome), outcome, 10)
        assert count_followed() - followed == 3
        await asyncio.sleep(1)
        for outcome in Outcome:
            poller.forget(outcome)
        assert count_followed() == followed
    assert {outcome: count(outcome) - value for outcome, value in before.items()} == dict.fromkeys(before, 1)


@in_virtual_time
async def test_a_forgotten_target_is_not_polled() -> None:
    pod = Pod()
    async with running() as poller:
        poller.follow("a", pod, "a", 2)
        await asyncio.sleep(3)
        poller.forget("a")
        poller.forget("a")
        assert len(poller) == 0
        await asyncio.sleep(30)
    assert pod.polled == [0, 2]


@in_virtual_time
async def test_an_error_of_a_poll_ends_neither_the_poller_nor_the_polls() -> None:
    pod = Pod()
    pod.error = RuntimeError("a bug")
    async with running() as poller:
        poller.follow("a", pod, "a", 2)
        await asyncio.sleep(5)
        pod.error = None
        await asyncio.sleep(6)
    assert pod.polled == [0, 2, 6, 8, 10]


@in_virtual_time
async def test_a_reconciliation_can_wait_for_a_poll() -> None:
    pod, slow = Pod(), Pod(Outcome.UNREACHABLE, seconds=2.0)
    async with running() as poller:
        poller.follow("a", pod, "a", 10)
        poller.follow("slow", slow, "a", 10)
        await asyncio.sleep(3)
        await poller.poll_now(["a", "slow", "unknown"])
        assert asyncio.get_running_loop().time() == 5
        assert pod.polled == [0, 3]
        await asyncio.sleep(16)
        assert pod.polled == [0, 3, 10, 20]


@in_virtual_time
async def test_a_poll_that_runs_is_followed_by_the_one_that_is_waited_for() -> None:
    """What the running poll reads may be older than the plan that was just pushed."""
    pod = Pod(seconds=1.0)
    async with running() as poller:
        poller.follow("a", pod, "a", 10)
        await asyncio.sleep(0.5)
        await poller.poll_now(["a"])
        assert pod.polled == [0, 1]
        assert asyncio.get_running_loop().time() == 2


@in_virtual_time
async def test_a_hurried_target_is_polled_at_once() -> None:
    pod = Pod()
    async with running() as poller:
        poller.follow("a", pod, "a", 10)
        await asyncio.sleep(3)
        poller.hurry("a")
        await asyncio.sleep(1)
    assert pod.polled == [0, 3]


@in_virtual_time
async def test_only_the_leader_polls() -> None:
    pod, leading = Pod(), False
    async with running(is_leading=lambda: leading) as poller:
        poller.follow("a", pod, "a", 2)
        await asyncio.sleep(10.5)
        assert pod.polled == []
        leading = True
        await asyncio.sleep(4)
        assert pod.polled == [11, 12, 14]
        leading = False
        await asyncio.sleep(10)
    assert pod.polled == [11, 12, 14]


@in_virtual_time
async def test_polls_that_run_end_with_the_poller() -> None:
    pod = Pod(seconds=100.0)
    async with running() as poller:
        poller.follow("a", pod, "a", 2)
        await asyncio.sleep(1)
        assert pod.running == 1
    assert pod.running == 0


@pytest.mark.parametrize("number", [10, 100])
def test_each_group_has_its_turn(number: int) -> None:
    @in_virtual_time
    async def test() -> None:
        large, small = [Pod(seconds=0.1) for _ in range(number * 10)], Pod(seconds=0.1)
        async with running(PollSchedule(limit=4)) as poller:
            for index, pod in enumerate(large):
                poller.follow(index, pod, "large", 1000)
            poller.follow("small", small, "small", 10)
            await asyncio.sleep(35)
        assert small.polled == pytest.approx([0, 10, 20, 30], abs=0.11)

    test()
