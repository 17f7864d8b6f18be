"""The reflector against a server that plays lists and watches: nothing is missed, whatever the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from prometheus_client import REGISTRY

from support.clusters.recording_api import Tokens
from support.clusters.watch_server import Fault, WatchServer, bookmark, make_event, make_object, make_page
from tunewright_operator.api.kinds import JOB, Kind
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.reflector import MAX_BACKOFF_SECONDS, Reflector, Restart, Timing

A, B, C = (make_object(name, version) for name, version in (("a", 1), ("b", 2), ("c", 3)))
END = bookmark(10)


class Sink:
    """Records what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, ...]] = []
        self.bodies: list[dict[str, Any]] = []

    def upsert(self, kind: Kind, body: dict[str, Any]) -> None:
        assert (kind, body["kind"], body["apiVersion"]) == (JOB, "Job", "batch/v1")
        self.got.append(("upsert", body["metadata"]["name"], body["metadata"]["resourceVersion"]))
        self.bodies.append(body)

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str, *, version: str | None) -> None:
        assert (kind, namespace) == (JOB, "ns")
        self.got.append(("remove", name, uid, str(version)))

    def retain(self, kind: Kind, uids: AbstractSet[str], version: str, namespace: str | None) -> None:
        assert kind == JOB
        self.got.append(("retain", *sorted(uids), version))

    def synced(self, kind: Kind) -> None:
        self.got.append(("synced", kind.name))


class Run:
    """One run of a reflector, until the scripts of its server are exhausted."""

    def __init__(
        self,
        server: WatchServer,
        silence: float = 60.0,
        labels: dict[str, str] | None = None,
        namespace: str | None = None,
    ) -> None:
        self.server = server
        self.namespace = namespace
        self.silence = silence
        self.labels = labels
        self.sink = Sink()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def until_exhausted(self) -> list[tuple[str, ...]]:
        async with self.server.serve():
            client = APIClient(Tokens(self.server.url))
            timing = Timing(silence=self.silence, sleep=self.sleep)
            reflector = Reflector(client, JOB, self.sink, namespace=self.namespace, labels=self.labels, timing=timing)
            task = asyncio.create_task(reflector.run())
            exhausted = asyncio.create_task(self.server.exhausted.wait())
            await asyncio.wait({task, exhausted}, return_when=asyncio.FIRST_COMPLETED)
            exhausted.cancel()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.close()
        return self.sink.got


def restarts(reason: str) -> float:
    labels = {"kind": "Job", "reason": reason}
    return REGISTRY.get_sample_value("tunewright_operator_watch_restarts_total", labels) or 0.0


async def test_everything_is_listed_in_pages_and_then_watched_from_the_version_of_the_list():
    server = WatchServer(
        [make_page(5, A, B, token="next"), make_page(5, C)], [[make_event("MODIFIED", make_object("a", 6)), END]]
    )
    got = await Run(server).until_exhausted()
    assert got == [
        ("upsert", "a", "1"),
        ("upsert", "b", "2"),
        ("upsert", "c", "3"),
        ("retain", "uid-a", "uid-b", "uid-c", "5"),
        ("synced", "Job"),
        ("upsert", "a", "6"),
    ]
    assert server.list_queries == [{"limit": "500"}, {"limit": "500", "continue": "next"}]
    first = server.watch_queries[0]
    assert first | {"timeoutSeconds": ""} == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "",
    }
    assert 300 <= int(first["timeoutSeconds"]) <= 600


async def test_labels_select_in_the_list_and_in_the_watch():
    server = WatchServer([make_page(5)], [[END]])
    await Run(server, labels={"b": "2", "a": "1"}).until_exhausted()
    assert server.list_queries[0]["labelSelector"] == server.watch_queries[0]["labelSelector"] == "a=1,b=2"


async def test_a_watch_that_ends_continues_from_its_last_event_or_bookmark():
    before = restarts("ended")
    server = WatchServer([make_page(5)], [[make_event("ADDED", make_object("a", 6))], [bookmark(9)]])
    run = Run(server)
    assert (await run.until_exhausted())[2:] == [("upsert", "a", "6")]
    assert [query["resourceVersion"] for query in server.watch_queries] == ["5", "6", "9"]
    assert run.slept == []
    assert restarts("ended") == before + 2


async def test_a_deletion_is_passed_with_its_uid_and_its_version():
    deleted = make_event("DELETED", make_object("a", 7))
    got = await Run(WatchServer([make_page(5, A)], [[deleted]])).until_exhausted()
    assert got[3:] == [("remove", "a", "uid-a", "7")]


@pytest.mark.parametrize(
    "watch",
    [410, [make_event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})]],
    ids=["status", "event"],
)
async def test_after_an_expired_version_everything_is_listed_and_the_sink_learns_what_is_left(watch: Any):
    before = restarts("expired")
    server = WatchServer([make_page(5, A, B, C), make_page(9, B)], [watch, [END]])
    run = Run(server)
    got = await run.until_exhausted()
    assert got[5:] == [("upsert", "b", "2"), ("retain", "uid-b", "9"), ("synced", "Job")]
    assert [query["resourceVersion"] for query in server.watch_queries] == ["5", "9", "10"]
    assert restarts("expired") == before + 1


async def test_a_list_that_expires_between_two_pages_begins_again_and_removes_nothing():
    server = WatchServer([make_page(5, A, B, token="next"), 410, make_page(6, A, B)], [[END]])
    run = Run(server)
    got = await run.until_exhausted()
    assert got[:4] == [("upsert", "a", "1"), ("upsert", "b", "2")] * 2
    assert got[4:] == [("retain", "uid-a", "uid-b", "6"), ("synced", "Job")]
    assert len(run.slept) == 1


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_a_refused_list_or_watch_is_tried_again_with_a_growing_pause(status: int):
    before = restarts("error")
    server = WatchServer([status, status, make_page(5)], [status, status, [END]])
    run = Run(server)
    assert (await run.until_exhausted())[1:] == [("synced", "Job")]
    assert [0.8 <= seconds / expected <= 1.2 for seconds, expected in zip(run.slept, [1, 2, 4, 8], strict=True)] == [
        True
    ] * 4
    assert [query["resourceVersion"] for query in server.watch_queries] == ["5", "5", "5", "10"]
    assert restarts("error") == before + 4


@pytest.mark.parametrize(("namespace", "synced"), [("ns", 2), (None, 1)])
async def test_others_do_not_wait_for_a_namespace_that_refuses_the_first_lists(namespace: str | None, synced: int):
    server = WatchServer([*[403] * 4, make_page(5, A)], [[END]])
    got = await Run(server, namespace=namespace).until_exhausted()
    assert got.count(("synced", "Job")) == synced
    assert got[-3:] == [("upsert", "a", "1"), ("retain", "uid-a", "5"), ("synced", "Job")]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_namespace_that_is_only_late_is_waited_for(status: int):
    server = WatchServer([*[status] * 4, make_page(5)], [[END]])
    assert (await Run(server, namespace="ns").until_exhausted()).count(("synced", "Job")) == 1


async def test_the_pause_is_bounded():
    server = WatchServer([*[503] * 12, make_page(5)], [[END]])
    run = Run(server)
    await run.until_exhausted()
    assert max(run.slept) <= MAX_BACKOFF_SECONDS * 1.2


@pytest.mark.parametrize(
    "script",
    [
        [make_event("ADDED", make_object("a", 6)), Fault.CUT],
        [make_event("ADDED", make_object("a", 6)), b'{"type": "MODIFIED", "obj', Fault.CUT],
        [make_event("ADDED", make_object("a", 6)), b'{"type": "MODIFIED", "obj'],
        [make_event("ADDED", make_object("a", 6)), b"<html>\n"],
        [make_event("ADDED", make_object("a", 6)), {"type": "SURPRISE"}],
        [make_event("ADDED", make_object("a", 6)), {"type": "MODIFIED", "object": {"metadata": None}}],
        [make_event("ADDED", make_object("a", 6)), make_event("ERROR", {"code": 500, "message": "etcd has no leader"})],
    ],
    ids=["cut", "cut inside", "ended inside", "no JSON", "no event", "no object", "error event"],
)
async def test_a_watch_that_breaks_continues_after_its_last_event(script: Any):
    server = WatchServer([make_page(5)], [script, [make_event("ADDED", make_object("b", 7))]])
    run = Run(server)
    assert (await run.until_exhausted())[1:] == [("synced", "Job"), ("upsert", "a", "6"), ("upsert", "b", "7")]
    assert [query["resourceVersion"] for query in server.watch_queries] == ["5", "6", "7"]
    assert len(run.slept) == 1


async def test_a_watch_without_any_event_is_not_repeated_at_once():
    server = WatchServer([make_page(5)], [[], [], [END]])
    run = Run(server)
    await run.until_exhausted()
    assert [round(seconds) for seconds in run.slept] == [1, 2]


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_refused_watch_is_tried_again_after_a_new_list(status: int):
    server = WatchServer([make_page(5, A), make_page(6, A), make_page(7, A)], [status, status, [END]])
    run = Run(server)
    got = await run.until_exhausted()
    assert got[3:6] == [("upsert", "a", "1"), ("retain", "uid-a", "6"), ("synced", "Job")]
    assert [query["resourceVersion"] for query in server.watch_queries] == ["5", "6", "7", "10"]
    assert [round(seconds) for seconds in run.slept] == [1, 2], "a list that works does not shorten the pause"


async def test_after_a_silent_watch_everything_is_listed():
    before = restarts("silent")
    server = WatchServer(
        [make_page(5), make_page(8)], [[make_event("ADDED", make_object("a", 6)), Fault.SILENCE], [END]]
    )
    run = Run(server, silence=0.1)
    await run.until_exhausted()
    assert [query["resourceVersion"] for query in server.watch_queries][:2] == ["5", "8"]
    assert run.slept == []
    assert restarts("silent") == before + 1


async def test_each_reason_of_a_restart_has_a_series_from_the_start():
    await Run(WatchServer([make_page(5)], [[END]])).until_exhausted()
    name = "tunewright_operator_watch_restarts_total"
    assert all(REGISTRY.get_sample_value(name, {"kind": "Job", "reason": reason}) is not None for reason in Restart)


async def test_duplicates_and_reordered_events_are_passed_on_as_they_come():
    one, two = make_event("MODIFIED", make_object("a", 6)), make_event("MODIFIED", make_object("a", 7))
    server = WatchServer([make_page(5)], [[two, one, two, two]])
    got = await Run(server).until_exhausted()
    assert [version for _, _, *version in got[2:]] == [["7"], ["6"], ["7"], ["7"]]


async def test_an_event_of_some_megabytes_in_any_pieces_is_read():
    big = make_event("MODIFIED", make_object("a", 6, data="x" * 3_000_000))
    server = WatchServer([make_page(5)], [[big, b"\n \n", big, END]])
    run = Run(server)
    await run.until_exhausted()
    assert [len(body["data"]) for body in run.sink.bodies] == [3_000_000] * 2


async def test_other_tasks_run_while_a_long_list_is_passed_on():
    items = [make_object(f"j{number}", number + 1) for number in range(1_000)]
    run = Run(WatchServer([make_page(5, *items)], [[END]]))
    seen: set[int] = set()

    async def look() -> None:
        while True:
            seen.add(len(run.sink.got))
            await asyncio.sleep(0)

    task = asyncio.create_task(look())
    await run.until_exhausted()
    task.cancel()
    assert len([count for count in seen if 0 < count < 1_000]) >= 10
