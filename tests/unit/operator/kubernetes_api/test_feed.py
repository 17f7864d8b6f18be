"""The feed: a reflector for each kind, which ends with the feed, and whose failure stops the operator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.clusters.recording_api import Tokens
from support.clusters.watch_server import WatchServer, bookmark, make_object, make_page
from tunewright_operator.api.kinds import JOB, Kind
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.feed import ReflectorFeed


class Sink:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.names: list[str] = []

    def upsert(self, kind: Kind, body: dict[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.names.append(body["metadata"]["name"])

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str) -> None:
        self.names.remove(name)

    def synced(self, kind: Kind) -> None:
        pass


def make_feed(server: WatchServer, sink: Sink, stop: asyncio.Event) -> ReflectorFeed:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[APIClient]:
        client = APIClient(Tokens(server.url))
        yield client
        await client.close()

    return ReflectorFeed(sink, {JOB: {"a": "b"}}, stop, open_client=connect)


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
