"""Leadership: one holder at a time; another takes over only after the Lease was not renewed for its whole duration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import LEASE
from tunewright_operator.cluster import ConflictError, UnavailableError
from tunewright_operator.runtime import leadership
from tunewright_operator.runtime.leadership import LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, Leadership


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def replica(cluster: FakeCluster, identity: str, clock: Callable[[], float]) -> Leadership:
    return Leadership(cluster, namespace="sys", name="lease", identity=identity, monotonic=clock)


async def test_the_first_one_leads_and_renews(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    assert await first.try_acquire()
    assert not await second.try_acquire()
    for _ in range(10):
        clock.seconds += LEASE_SECONDS - 1
        assert await first.try_acquire()
        assert not await second.try_acquire()
    assert cluster.peek(LEASE, "sys", "lease")["spec"]["leaseTransitions"] == 0


async def test_a_holder_that_does_not_renew_is_replaced_after_the_whole_lease(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    await first.try_acquire()
    assert not await second.try_acquire()
    clock.seconds += LEASE_SECONDS
    assert not await second.try_acquire()
    clock.seconds += 0.1
    assert await second.try_acquire()
    assert not await first.try_acquire()
    assert cluster.peek(LEASE, "sys", "lease")["spec"]["holderIdentity"] == "b"
    assert cluster.peek(LEASE, "sys", "lease")["spec"]["leaseTransitions"] == 1


async def test_a_released_lease_is_taken_at_once(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    await first.try_acquire()
    await second.release()
    assert not await second.try_acquire(), "only the holder may release"
    await first.release()
    assert await second.try_acquire()


async def test_a_replica_that_loses_the_race_does_not_lead(cluster: FakeCluster):
    clock = Monotonic()
    first = replica(cluster, "a", clock)
    await first.try_acquire()
    cluster.fail_next(ConflictError("changed"), "replace")
    assert not await first.try_acquire()


async def test_a_renewal_that_hangs_ends_leadership_before_another_may_take_over(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.05)
    first = replica(cluster, "a", time.monotonic)
    await first.acquire()

    async def hang(*_args):
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "get", hang)
    started = time.monotonic()
    async with asyncio.timeout(60):
        await first.hold()
    assert time.monotonic() - started >= 0.4, "it leads as long as it may"
    assert leadership.RETRY_SECONDS < leadership.RENEW_DEADLINE_SECONDS


def test_a_holder_gives_up_well_before_another_may_take_over():
    assert RENEW_DEADLINE_SECONDS + RETRY_SECONDS < LEASE_SECONDS


async def test_a_few_failed_renewals_do_not_end_leadership(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.01)
    first = replica(cluster, "a", time.monotonic)
    await first.acquire()
    for _ in range(3):
        cluster.fail_next(UnavailableError("away"), "get", LEASE)
    version = cluster.peek(LEASE, "sys", "lease")["metadata"]["resourceVersion"]
    hold = asyncio.create_task(first.hold())
    async with asyncio.timeout(60):
        while cluster.peek(LEASE, "sys", "lease")["metadata"]["resourceVersion"] == version:  # noqa: ASYNC110 - a fake
            await asyncio.sleep(0.01)
    assert not hold.done()
    hold.cancel()


async def test_leadership_does_not_change_while_the_api_server_is_unreachable(cluster: FakeCluster):
    cluster.fail_next(UnavailableError("away"), "get")
    with pytest.raises(UnavailableError):
        await replica(cluster, "a", Monotonic()).try_acquire()
