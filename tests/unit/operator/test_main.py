"""The start of the operator process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.virtual_time import in_virtual_time
from tunewright_operator import __main__ as program
from tunewright_operator.api.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, LEASE, OWN_KINDS
from tunewright_operator.cluster import Body, ClusterError, ForbiddenError
from tunewright_operator.kubernetes_api.client import Request
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.manifests.events import EventType
from tunewright_operator.runtime.fence import FencedCluster
from tunewright_operator.runtime.replica import run_replica
from tunewright_operator.runtime.runner import Runner
from tunewright_operator.runtime.term import LeadershipLostError, Term
from tunewright_operator.settings import Settings
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.store import Store

PROGRAM = """
import gc, json, sys
from tunewright_operator import __main__
__main__.release = lambda settings: None
__main__.asyncio = type("", (), {"run": staticmethod(lambda _: len(json.dumps(json.loads(sys.stdin.read()))))})
print(__main__.main(["release-finalizers"]))
print(gc.get_freeze_count())
"""


def test_the_program_reads_objects_of_the_greatest_depth_and_freezes_what_its_imports_created():
    text = '{"a":' * 9_990 + "1" + "}" * 9_990
    settings = {f"TUNEWRIGHT_{name}": "x" for name in ("NAMESPACE", "OPERATOR_IMAGE", "TRAINER_IMAGE", "SERVER_IMAGE")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=text,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    length, frozen = map(int, done.stdout.split()[-2:])
    assert length == len(json.dumps({"a": 1})) + 9_989 * len('{"a": }')
    assert frozen > 10_000, "what the imports created is not frozen"


CONFIG_MAP_BODY: Body = {
    "apiVersion": CONFIG_MAP.api_version,
    "kind": CONFIG_MAP.name,
    "metadata": {"name": "c", "namespace": "ns"},
}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        namespace="sys",
        operator_image="o:1",
        trainer_image="t:1",
        server_image="s:1",
        probe_port=0,
        pod_name="pod",
        deployment="operator",
    )


class OpenedCluster(FakeCluster):
    """What `open_cluster` yields: it can also write the Events that wait."""

    flushed_under = ""

    async def flush_events(self) -> None:
        self.flushed_under = holder(self)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> OpenedCluster:
    cluster = OpenedCluster()
    for kind in OWN_KINDS:
        cluster.put(
            {
                "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
                "kind": CUSTOM_RESOURCE_DEFINITION.name,
                "metadata": {"name": f"{kind.plural}.{kind.group}"},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            }
        )

    @contextlib.asynccontextmanager
    async def opened(_instance: str, **_options: Any) -> AsyncIterator[FakeCluster]:
        yield cluster

    monkeypatch.setattr(program, "open_cluster", opened)
    return cluster


def holder(cluster: FakeCluster) -> str:
    return cluster.peek(LEASE, "sys", program.LEASE_NAME)["spec"]["holderIdentity"]


class Watches:
    """Stands for the reflectors: nothing exists that could be listed."""

    def __init__(self, store: Store, _kinds: Any, stop: asyncio.Event) -> None:
        self.store = store
        self.stop = stop
        self.at_end: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.at_end()

    async def wait_until_filled(self) -> None:
        for kind in STORED_KINDS:
            self.store.synced(kind)


async def test_the_lease_is_held_until_the_loops_have_ended_and_their_writes_are_fenced(
    cluster: OpenedCluster, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, str] = {}
    ports: list[Any] = []
    watches: list[Watches] = []
    reporter, close = program.FailureReporter, Runner.close

    def watch(*arguments: Any, **_: object) -> Watches:
        watches.append(Watches(*arguments))
        watches[0].at_end = lambda: seen.update(watched=holder(cluster))
        return watches[0]

    def work(port: Any) -> Any:
        ports.append(port)
        seen["working"] = holder(cluster)
        watches[0].stop.set()
        return reporter(port)

    async def close_late(runner: Runner) -> None:
        await asyncio.sleep(0.1)
        await ports[0].create(CONFIG_MAP_BODY)
        await close(runner)
        seen["closed"] = holder(cluster)

    monkeypatch.setattr(program, "ReflectorFeed", watch)
    monkeypatch.setattr(program, "FailureReporter", work)
    monkeypatch.setattr(Runner, "close", close_late)
    started = asyncio.Event()
    await program.serve(settings, stop=asyncio.Event(), started=started)
    assert started.is_set()
    assert seen == {"working": "pod", "closed": "pod", "watched": ""}
    assert cluster.flushed_under == "pod"
    assert holder(cluster) == ""
    with pytest.raises(LeadershipLostError):
        await ports[0].create(CONFIG_MAP_BODY)


class RecordedLeader:
    """A leader that leads at once, and records when the Lease is released."""

    def __init__(self, seen: dict[str, float]) -> None:
        self.seen = seen
        self.term = Term()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.seen["released"] = asyncio.get_running_loop().time()

    async def wait_until_leader(self) -> None:
        """Lead for longer than the test."""
        self.term.extend(self.term.now() + 3600)


class SilentServer:
    """An API server that answers no request for an Event."""

    async def request(self, _request: Request) -> Body:
        await asyncio.sleep(3600)
        return {}


@in_virtual_time
async def test_events_without_an_answer_delay_the_release_of_the_lease_by_at_most_a_second(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    seen: dict[str, float] = {}
    close, stop, clock = Runner.close, asyncio.Event(), asyncio.get_running_loop().time
    leader, recorder, store = RecordedLeader(seen), EventRecorder(SilentServer()), Store()

    async def close_late(runner: Runner) -> None:
        await asyncio.sleep(3)  # A reconciliation takes time to end.
        await close(runner)
        seen["worked"] = clock()

    monkeypatch.setattr(Runner, "close", close_late)
    recorder.emit(CONFIG_MAP_BODY, EventType.NORMAL, "Training", "m", may_write=lambda: True)
    asyncio.get_running_loop().call_later(60, stop.set)
    work = functools.partial(
        program.open_loops,
        settings,
        FencedCluster(FakeCluster(), leader.term),
        leader.term,
        store,
        stop=stop,
        flush_events=recorder.flush,
    )
    await run_replica(Watches(store, None, stop), leader, work, stop, on_filled=lambda: None)
    assert seen["worked"] == pytest.approx(63)
    assert seen["worked"] < seen["released"] <= seen["worked"] + 1
    await recorder.close()


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ForbiddenError("no"), 1)])
async def test_finalizers_are_removed_under_the_lease_which_is_released_afterwards(
    cluster: FakeCluster,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    error: ClusterError | None,
    code: int,
):
    cluster.put(
        {
            "apiVersion": DEPLOYMENT.api_version,
            "kind": DEPLOYMENT.name,
            "metadata": {"name": "operator", "namespace": "sys"},
            "spec": {"replicas": 1},
        }
    )
    seen: list[str] = []

    async def remove(port: Any) -> int:
        seen.append(holder(cluster))
        await port.create(CONFIG_MAP_BODY)
        if error is not None:
            raise error
        return 1

    monkeypatch.setattr(program, "release_finalizers", remove)
    assert await program.release(settings) == code
    assert seen == ["pod"]
    assert holder(cluster) == ""
    assert cluster.peek(DEPLOYMENT, "sys", "operator")["spec"]["replicas"] == 0
