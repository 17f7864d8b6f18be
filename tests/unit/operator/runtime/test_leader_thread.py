"""The leader thread: the Lease survives a stalled main loop, and a replica that lost it acts no more.

These tests use real threads and real time, with short durations.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import CONFIG_MAP, LEASE
from tunewright_operator.cluster import Body, ClusterError, UnavailableError
from tunewright_operator.runtime import heartbeat, leader_thread, leadership
from tunewright_operator.runtime.fence import FencedCluster
from tunewright_operator.runtime.leader_thread import LeaderThread, MainLoopStalledError, end_process
from tunewright_operator.runtime.term import LeadershipLostError

TESTS = Path(__file__).parents[3]
LEASE_SECONDS = 2.0
RENEW_DEADLINE_SECONDS = 1.4


class FaultyCluster(FakeCluster):
    """A cluster whose Lease can become unreadable."""

    fault: Exception | None = None
    reads = 0

    async def get(self, kind: Any, namespace: str | None, name: str) -> Body | None:
        self.reads += 1
        if kind == LEASE and self.fault is not None:
            raise self.fault
        return await super().get(kind, namespace, name)

    @property
    def lease(self) -> dict[str, Any]:
        return self.peek(LEASE, "sys", "lease")["spec"]

    @property
    def renewals(self) -> int:
        return sum(address[0] == LEASE.name for _, address in self.writes)


class EndOfProcess:
    """Stands for the end of the process: records why and when it would have ended."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.time = 0.0

    def __call__(self, error: BaseException) -> None:
        assert self.error is None
        self.error, self.time = error, time.monotonic()

    async def wait(self) -> None:
        async with asyncio.timeout(60):
            while self.error is None:  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.01)


@pytest.fixture
def cluster() -> FaultyCluster:
    return FaultyCluster()


@pytest.fixture
def end() -> EndOfProcess:
    return EndOfProcess()


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", RENEW_DEADLINE_SECONDS)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.1)


def replica(cluster: FakeCluster, identity: str, end: EndOfProcess) -> LeaderThread:
    return LeaderThread(lambda: opened(cluster), namespace="sys", name="lease", identity=identity, end_process=end)


@contextlib.asynccontextmanager
async def opened(cluster: FakeCluster) -> AsyncIterator[FakeCluster]:
    yield cluster


def build_config_map(name: str) -> Body:
    metadata = {"name": name, "namespace": "ns"}
    return {"apiVersion": CONFIG_MAP.api_version, "kind": CONFIG_MAP.name, "metadata": metadata}


def has_ended(leader: LeaderThread) -> bool:
    leader._thread.join(60)
    return not leader._thread.is_alive()


def sleep(seconds: float) -> None:
    """Block the loop as a call that waits."""
    time.sleep(seconds)


def compute(seconds: float) -> None:
    """Block the loop as a long computation, which also competes for the interpreter's lock."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("stall", [sleep, compute])
async def test_the_lease_survives_a_main_loop_that_is_stalled_for_longer_than_the_lease(
    cluster: FaultyCluster, end: EndOfProcess, stall: Callable[[float], None]
):
    # 5 s in `make test-full`.
    seconds = 5.0 if settings.get_current_profile_name() == "full" else LEASE_SECONDS + 0.5
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        async with replica(cluster, "b", end) as second:  # tries to take the Lease, on another thread
            waiting = asyncio.create_task(second.wait_until_leader())
            await asyncio.sleep(0)
            before = cluster.renewals
            stall(seconds)
            assert (cluster.lease["holderIdentity"], cluster.lease["leaseTransitions"]) == ("a", 0)
            assert cluster.renewals - before >= 3
            assert first.term.seconds_left() > 0
            await FencedCluster(cluster, first.term).create(build_config_map("after-the-stall"))
            assert not waiting.done()
            waiting.cancel()
    assert end.error is None


@pytest.mark.usefixtures("short_lease")
async def test_a_stalled_replica_that_cannot_renew_ends_before_another_leads_and_writes_nothing_afterwards(
    cluster: FaultyCluster, end: EndOfProcess
):
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        fenced = FencedCluster(cluster, first.term)
        await fenced.create(build_config_map("leader"))
        cluster.fault = UnavailableError("no route to host")
        started = time.monotonic()
        sleep(LEASE_SECONDS)
        assert isinstance(end.error, LeadershipLostError)
        assert end.time - started < LEASE_SECONDS, "it ends while the main loop is stalled"
        with pytest.raises(LeadershipLostError):
            await fenced.create(build_config_map("too-late"))
        assert cluster.find(CONFIG_MAP, "ns", "too-late") is None


async def test_a_replica_ends_at_once_when_another_holds_the_lease(
    cluster: FaultyCluster, end: EndOfProcess, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 3600.0)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.01)
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        async with asyncio.timeout(60):
            while end.error is None:  # again, because a renewal at the same time may win
                cluster.edit(LEASE, "sys", "lease", lambda lease: lease["spec"].update(holderIdentity="b"))
                await asyncio.sleep(0.01)
        assert isinstance(end.error, LeadershipLostError)
        assert first.term.seconds_left() == 0
    assert cluster.lease["holderIdentity"] == "b", "only the holder may release"


@pytest.mark.usefixtures("short_lease")
async def test_the_lease_is_released_only_after_the_work_has_ended(cluster: FaultyCluster, end: EndOfProcess):
    first = replica(cluster, "a", end)
    fenced = FencedCluster(cluster, first.term)
    left_at_release: list[float] = []

    def observe(body: Body) -> None:
        if body["kind"] == LEASE.name and not body["spec"]["holderIdentity"]:
            left_at_release.append(first.term.seconds_left())

    cluster.on_change = observe
    async with first:
        await first.wait_until_leader()
        try:
            await asyncio.sleep(0)
        finally:
            sleep(LEASE_SECONDS + 0.5)  # a slow end of the work, which blocks the loop
            assert cluster.lease["holderIdentity"] == "a"
            assert not left_at_release
            await fenced.create(build_config_map("last-write"))
    assert cluster.lease["holderIdentity"] == ""
    assert left_at_release == [0], "no write is possible any more when another replica may lead"
    with pytest.raises(LeadershipLostError):
        await fenced.create(build_config_map("too-late"))
    assert end.error is None


async def test_the_lease_is_released_when_the_work_fails(cluster: FaultyCluster, end: EndOfProcess):
    first = replica(cluster, "a", end)

    async def work() -> None:
        async with first:
            await first.wait_until_leader()
            raise RuntimeError("the work failed")

    with pytest.raises(RuntimeError, match="the work failed"):
        await work()
    assert cluster.lease["holderIdentity"] == ""
    assert has_ended(first)


async def test_a_replica_that_waits_for_the_lease_can_be_stopped(cluster: FaultyCluster, end: EndOfProcess):
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        async with replica(cluster, "b", end) as second:
            waiting = asyncio.create_task(second.wait_until_leader())
            await asyncio.sleep(0)
            waiting.cancel()
        assert has_ended(second)
        assert cluster.lease["holderIdentity"] == "a"
        assert first.term.seconds_left() > 0
    assert end.error is None


@pytest.mark.usefixtures("short_lease")
async def test_a_replica_takes_a_free_lease_only_when_it_waits_for_leadership(
    cluster: FaultyCluster, end: EndOfProcess
):
    async with replica(cluster, "a", end) as first:
        async with asyncio.timeout(60):
            while cluster.reads < 3:  # noqa: ASYNC110 - another thread reads
                await asyncio.sleep(0.01)
        assert cluster.find(LEASE, "sys", "lease") is None
        await first.wait_until_leader()
        assert cluster.lease["holderIdentity"] == "a"


async def test_the_end_of_the_process_does_not_wait_for_an_api_server_without_an_answer(
    cluster: FaultyCluster, end: EndOfProcess, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leader_thread, "RELEASE_SECONDS", 0.1)

    async def hang(*_args: Any) -> None:
        await asyncio.Event().wait()

    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        monkeypatch.setattr(cluster, "get", hang)
    assert has_ended(first)
    assert cluster.lease["holderIdentity"] == "a", "it expires"


@pytest.mark.usefixtures("short_lease")
async def test_an_unexpected_error_while_renewing_ends_the_process(cluster: FaultyCluster, end: EndOfProcess):
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        cluster.fault = KeyError("spec")
        await end.wait()
        assert end.error is cluster.fault
        with pytest.raises(LeadershipLostError):
            first.term.check()


async def test_an_unexpected_error_while_waiting_for_the_lease_ends_the_process(
    cluster: FaultyCluster, end: EndOfProcess
):
    cluster.fault = KeyError("spec")
    async with replica(cluster, "a", end) as first:
        with pytest.raises(KeyError):
            await first.wait_until_leader()
    assert end.error is cluster.fault


async def test_a_client_that_cannot_connect_ends_the_process(end: EndOfProcess):
    @contextlib.asynccontextmanager
    async def refuse() -> AsyncIterator[FakeCluster]:
        raise ClusterError("no kubeconfig")
        yield FakeCluster()

    async with LeaderThread(refuse, namespace="sys", name="lease", identity="a", end_process=end) as first:
        with pytest.raises(ClusterError, match="no kubeconfig"):
            await first.wait_until_leader()
    assert isinstance(end.error, ClusterError)


@pytest.mark.usefixtures("short_lease")
async def test_a_dead_main_loop_does_not_keep_the_lease(
    cluster: FaultyCluster, end: EndOfProcess, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leader_thread, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(leader_thread, "STALL_LIMIT_SECONDS", 1.0)
    async with replica(cluster, "a", end) as first:
        await first.wait_until_leader()
        sleep(1.5)
        assert isinstance(end.error, MainLoopStalledError)
        assert "in sleep" in end.error.stack, "the log shows where the main loop is blocked"
        assert first.term.seconds_left() == 0
        renewals = cluster.renewals
        await asyncio.sleep(0.3)
        assert cluster.renewals == renewals
    assert cluster.lease["holderIdentity"] == "a", "it is not released while a write may be in flight; it expires"


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (LeadershipLostError("the Lease"), "leadership_lost"),
        (MainLoopStalledError("the main event loop", "in work"), "main_loop_stalled"),
        (KeyError("spec"), "leader_election_failed"),
    ],
)
def test_the_last_log_line_has_the_reason(monkeypatch: pytest.MonkeyPatch, error: Exception, event: str):
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(threading, "Timer", lambda *_: threading.Thread(target=lambda: None))
    with structlog.testing.capture_logs() as logs:
        end_process(error)
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == (event, "critical")
    assert entry.get("stack") == getattr(error, "stack", None)
    assert entry.get("error") == str(error) or entry.get("exc_info") is error
    assert codes == [1]


def test_the_limits_fit_together():
    margin = leadership.LEASE_SECONDS - leadership.RENEW_DEADLINE_SECONDS
    assert margin > leader_thread.LOG_SECONDS, "the process has ended before another replica may lead"
    assert leader_thread.RELEASE_SECONDS < leader_thread.CLOSE_SECONDS
    assert 10 * heartbeat.BEAT_SECONDS < leader_thread.STALL_LIMIT_SECONDS


PROGRAM = """
import asyncio, contextlib, logging, sys, time
from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.cluster import UnavailableError
from tunewright_operator.runtime import leader_thread, leadership
from tunewright_operator.runtime.logging import configure_logging

fault, blocked_log = eval(sys.argv[1]), sys.argv[2] == "blocked-log"
leadership.RENEW_DEADLINE_SECONDS, leadership.RETRY_SECONDS = 1.0, 0.05

class Cluster(FakeCluster):
    broken = False

    async def get(self, *args):
        if self.broken:
            raise fault
        return await super().get(*args)

cluster = Cluster()

@contextlib.asynccontextmanager
async def opened():
    yield cluster

async def main():
    async with leader_thread.LeaderThread(opened, namespace="sys", name="lease", identity="a") as leader:
        await leader.wait_until_leader()
        if blocked_log:
            logging.getLogger().handlers[0].acquire()
        cluster.broken = True
        time.sleep(300)

configure_logging()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("fault", "log", "expected"),
    [
        ("UnavailableError('no route to host')", "log", '"event": "leadership_lost"'),
        ("KeyError('spec')", "blocked-log", ""),
    ],
)
def test_the_process_ends_with_code_1_although_its_main_loop_is_stalled(fault: str, log: str, expected: str):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, fault, log],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert expected in done.stdout
    assert "Traceback" not in done.stderr
