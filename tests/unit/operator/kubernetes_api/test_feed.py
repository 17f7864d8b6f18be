"""The feed: a reflector for each kind, which ends with the feed, and whose failure stops the operator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from support.clusters.recording_api import Tokens
from support.clusters.watch_server import Fault, WatchServer, bookmark, make_object, make_page
from tunewright_operator.api.kinds import BASE_MODEL, JOB, Kind
from tunewright_operator.kubernetes_api.client import APIClient, Request
from tunewright_operator.kubernetes_api.feed import ReflectorFeed
from tunewright_operator.kubernetes_api.reflector import Timing
from tunewright_operator.store.store import Store


class Sink:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.names: list[str] = []

    def upsert(self, kind: Kind, body: dict[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.names.append(body["metadata"]["name"])

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str, *, version: str | None) -> None:
        self.names.remove(name)

    def retain(self, kind: Kind, uids: AbstractSet[str], version: str, namespace: str | None) -> None:
        pass

    def synced(self, kind: Kind) -> None:
        pass


def make_feed(
    server: WatchServer, sink: Sink | Store, stop: asyncio.Event, timing: Timing | None = None
) -> ReflectorFeed:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[APIClient]:
        client = APIClient(Tokens(server.url))
        yield client
        await client.close()

    return ReflectorFeed(sink, {JOB: {"a": "b"}}, stop, open_client=connect, timing=timing)


async def test_a_feed_is_filled_when_everything_is_listed_and_ends_with_its_context():
    server = WatchServer([make_page(5, make_object("a", 1))], [[bookmark(6)]])
    sink, stop = Sink(), asyncio.Event()
    async with server.serve():
        async with make_feed(server, sink, stop) as feed:
            await feed.wait_until_filled()
            assert sink.names == ["a"]
            assert server.list_queries[0]["labelSelector"] == "a=b"
            await server.exhausted.wait()
            assert not stop.is_set()
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("watch-")] == []


async def test_an_unexpected_failure_stops_the_operator_and_is_raised():
    server = WatchServer([make_page(5, make_object("a", 1))])
    stop = asyncio.Event()
    async with server.serve():
        with pytest.raises(RuntimeError, match="a bug of the cache"):
            async with make_feed(server, Sink(RuntimeError("a bug of the cache")), stop):
                await stop.wait()


async def test_a_new_list_changes_the_store_only_where_something_differs():
    kept, changed, gone = (make_object(name, 1) for name in ("kept", "changed", "gone"))
    later = make_object("changed", 8)
    server = WatchServer(
        [make_page(5, kept, changed, gone), make_page(9, kept, later)], [[Fault.SILENCE], [bookmark(10)]]
    )
    store, stop, changes = Store(), asyncio.Event(), []
    async with server.serve(), make_feed(server, store, stop, Timing(silence=0.1)) as feed:
        await feed.wait_until_filled()
        store.upsert(JOB, make_object("written", 10))
        store.subscribe(lambda _, *entries: changes.append([entry and entry.origin.version for entry in entries]))
        await server.exhausted.wait()
    assert changes == [[1, 8], [1, None]]
    assert {entry.origin.name for entry in store.entries(JOB)} == {"kept", "changed", "written"}


class Namespaces:
    """A client of an API server with one Job in each namespace; the lists of some namespaces wait for `released`."""

    def __init__(self, *slow: str) -> None:
        self.slow = slow
        self.released = asyncio.Event()
        self.listed: list[str] = []

    async def request(self, request: Request) -> dict[str, Any]:
        namespace = request.path.split("/")[-2]
        if namespace in self.slow:
            await self.released.wait()
        self.listed.append(request.path)
        body = make_object(f"job-of-{namespace}", 1)
        body["metadata"]["namespace"] = namespace
        return make_page(5, *([body] if request.kind is JOB else []))

    @contextlib.asynccontextmanager
    async def stream(self, *_: object, **__: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


async def test_a_namespaced_operator_watches_each_of_its_namespaces_and_nothing_else():
    client, synced, first = Namespaces("b"), list[str](), asyncio.Event()

    class Counting(Sink):
        def synced(self, kind: Kind) -> None:
            synced.append(kind.plural)
            first.set()

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        yield client

    sink, stop = Counting(), asyncio.Event()
    kinds: dict[Kind, dict[str, str]] = {JOB: {}, BASE_MODEL: {}}
    async with ReflectorFeed(sink, kinds, stop, namespaces=("a", "b"), open_client=connect) as feed:
        await first.wait()
        assert synced == ["basemodels"], "what is not listed yet only seems not to exist"
        client.released.set()
        await feed.wait_until_filled()
    assert sorted(synced) == ["basemodels", "jobs"]
    assert sorted(sink.names) == ["job-of-a", "job-of-b"]
    assert sorted(client.listed) == [
        "/apis/batch/v1/namespaces/a/jobs",
        "/apis/batch/v1/namespaces/b/jobs",
        "/apis/tunewright.dev/v1alpha1/basemodels",
    ]
