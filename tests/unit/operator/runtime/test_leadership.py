"""Leadership: one holder at a time; another takes over only after the Lease was not renewed for its whole duration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.virtual_time import in_virtual_time
from tunewright_operator.api.kinds import LEASE
from tunewright_operator.cluster import ConflictError, UnavailableError
from tunewright_operator.runtime import leadership, metrics
from tunewright_operator.runtime.leadership import LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, Leadership
from tunewright_operator.runtime.term import Term


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def replica(cluster: FakeCluster, identity: str, clock: Callable[[], float]) -> Leadership:
    return Leadership(cluster, Term(clock), namespace="sys", name="lease", identity=identity)


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


@in_virtual_time
async def test_a_renewal_that_hangs_ends_leadership_before_another_may_take_over(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.05)
    first = replica(cluster, "a", asyncio.get_running_loop().time)
    await first.acquire()

    async def hang(*_args):
        await asyncio.Event().wait()

    monkeypatch.setattr(cluster, "get", hang)
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):
        await first.hold()
    assert asyncio.get_running_loop().time() - started >= 0.4, "it leads as long as it may"
    assert leadership.RETRY_SECONDS < leadership.RENEW_DEADLINE_SECONDS


def test_a_holder_gives_up_well_before_another_may_take_over():
    assert RENEW_DEADLINE_SECONDS + RETRY_SECONDS < LEASE_SECONDS


@in_virtual_time
async def test_a_few_failed_renewals_do_not_end_leadership(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.01)
    first = replica(cluster, "a", asyncio.get_running_loop().time)
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


@in_virtual_time
async def test_one_request_without_an_answer_does_not_end_leadership(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 1.0)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.05)
    first = replica(cluster, "a", asyncio.get_running_loop().time)
    await first.acquire()
    answer, asked = cluster.get, []

    async def drop_the_first(*args):
        asked.append(args)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return await answer(*args)

    monkeypatch.setattr(cluster, "get", drop_the_first)
    hold = asyncio.create_task(first.hold())
    async with asyncio.timeout(60):
        while len(asked) < 20 and not hold.done():  # noqa: ASYNC110 - a fake
            await asyncio.sleep(0.01)
    assert not hold.done()
    hold.cancel()


@in_virtual_time
async def test_the_term_ends_at_the_deadline_even_between_two_attempts(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 3600.0)
    first = replica(cluster, "a", asyncio.get_running_loop().time)
    await first.acquire()
    async with asyncio.timeout(60):
        await first.hold()


async def test_a_lease_that_another_replica_holds_ends_the_term_at_once(cluster: FakeCluster):
    clock = Monotonic()
    first = replica(cluster, "a", clock)
    await first.try_acquire()
    assert first._term.seconds_left() == RENEW_DEADLINE_SECONDS
    cluster.edit(LEASE, "sys", "lease", lambda lease: lease["spec"].update(holderIdentity="b"))
    assert not await first.try_acquire()
    assert first._term.seconds_left() == 0


async def test_a_replica_that_waits_may_still_lead_later(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    await first.try_acquire()
    assert not await second.try_acquire()
    await first.release()
    assert first._term.seconds_left() == 0
    assert await second.try_acquire()
    assert second._term.seconds_left() == RENEW_DEADLINE_SECONDS


async def test_a_renewal_in_flight_does_not_prevent_the_release(cluster: FakeCluster):
    first = replica(cluster, "a", Monotonic())
    await first.try_acquire()
    cluster.fail_next(ConflictError("renewed meanwhile"), "replace")
    await first.release()
    assert cluster.peek(LEASE, "sys", "lease")["spec"]["holderIdentity"] == ""


async def test_the_term_counts_from_before_the_request(cluster: FakeCluster, monkeypatch):
    clock = Monotonic()
    answer = cluster.get

    async def slow(*args):
        clock.seconds += 3
        return await answer(*args)

    monkeypatch.setattr(cluster, "get", slow)
    first = replica(cluster, "a", clock)
    await first.try_acquire()
    assert first._term.seconds_left() == RENEW_DEADLINE_SECONDS - 3


async def test_each_renewal_records_the_margin_that_was_left(cluster: FakeCluster):
    def read() -> dict[str, float]:
        (family,) = metrics.LEASE_MARGIN.collect()
        return {sample.name.rpartition("_")[2]: sample.value for sample in family.samples if not sample.labels}

    clock = Monotonic()
    first = replica(cluster, "a", clock)
    before = read()
    await first.try_acquire()
    assert read()["count"] == before["count"], "the first acquisition is no renewal"
    clock.seconds += 3
    await first.try_acquire()
    after = read()
    assert after["count"] == before["count"] + 1
    assert after["sum"] == pytest.approx(before["sum"] + RENEW_DEADLINE_SECONDS - 3)


@in_virtual_time
async def test_a_replica_that_observes_does_not_take_the_lease(cluster: FakeCluster, monkeypatch):
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.01)
    until = asyncio.Event()
    reads: list[str] = []
    answer = cluster.get

    async def count(*args):
        reads.append("get")
        return await answer(*args)

    monkeypatch.setattr(cluster, "get", count)
    observing = asyncio.create_task(replica(cluster, "a", asyncio.get_running_loop().time).observe(until))
    async with asyncio.timeout(60):
        while len(reads) < 5:  # noqa: ASYNC110 - a fake
            await asyncio.sleep(0.01)
        until.set()
        await observing
    assert cluster.find(LEASE, "sys", "lease") is None


async def test_a_candidate_counts_the_time_in_which_it_observed_the_lease(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    await first.try_acquire()
    assert await second._observe(), "the first one holds it"
    clock.seconds += LEASE_SECONDS + 0.1
    assert await second.try_acquire()


async def test_a_candidate_asks_again_when_the_lease_expires(cluster: FakeCluster):
    clock = Monotonic()
    first, second = replica(cluster, "a", clock), replica(cluster, "b", clock)
    assert RETRY_SECONDS <= second._pause() <= RETRY_SECONDS * (1 + leadership.RETRY_JITTER), "no Lease was seen"
    await first.try_acquire()
    await second.try_acquire()
    assert second._pause() >= RETRY_SECONDS
    clock.seconds += LEASE_SECONDS - 1
    pause = second._pause()
    assert 1 < pause < 1.1
    clock.seconds += pause
    assert await second.try_acquire()
