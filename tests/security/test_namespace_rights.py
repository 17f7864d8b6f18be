"""A tenant takes away the operator's rights in its namespace, to stop the operator for all others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.clusters.watch_server import make_object, make_page
from tunewright_operator.api.kinds import JOB
from tunewright_operator.cluster import ForbiddenError
from tunewright_operator.kubernetes_api.client import APIClient, Request
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.kubernetes_api.feed import ReflectorFeed
from tunewright_operator.kubernetes_api.kubernetes_cluster import KubernetesCluster
from tunewright_operator.kubernetes_api.reflector import Timing
from tunewright_operator.store.auditor import Auditor
from tunewright_operator.store.store import Store

NAMESPACES = ("hostile", "victim")


class Server(APIClient):
    """An API server with one Job in each namespace, where the RoleBinding of some namespaces was deleted."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    async def request(self, request: Request) -> dict[str, Any]:
        parts = request.path.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        if namespace in self.refused:
            raise ForbiddenError(f"{request}: 403")
        if request.kind is not JOB:
            return make_page(5)
        body = make_object(f"job-of-{namespace}", 1)
        body["metadata"]["namespace"] = namespace
        return make_page(5, body)

    @contextlib.asynccontextmanager
    async def stream(self, *_: object, **__: object) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield


def open_server(server: Server) -> Any:
    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Server]:
        yield server

    return connect


def names(store: Store) -> set[str]:
    return {entry.origin.name for entry in store.entries(JOB)}


async def test_an_operator_that_starts_works_for_the_others():
    async def skip(_: float) -> None:
        await asyncio.sleep(0)

    store, connect = Store(), open_server(Server("hostile"))
    feed = ReflectorFeed(
        store, {JOB: {}}, asyncio.Event(), namespaces=NAMESPACES, open_client=connect, timing=Timing(sleep=skip)
    )
    async with asyncio.timeout(10), feed:
        await feed.wait_until_filled()
    assert names(store) == {"job-of-victim"}


async def test_a_leader_takes_over_and_audits_the_others():
    """It reads everything once before it works, and again every few minutes."""
    server = Server()
    cluster = KubernetesCluster(server, EventRecorder(server), namespaces=NAMESPACES)
    store = Store()
    for body in await cluster.list(JOB):
        store.upsert(JOB, body)
    assert names(store) == {"job-of-hostile", "job-of-victim"}
    server.refused = ("hostile",)
    store.remove(JOB, "victim", "job-of-victim", "uid-job-of-victim", version="1")
    auditor = Auditor(store, cluster, patience=0)
    async with asyncio.timeout(10), auditor.running(on_end=lambda: None):
        assert await auditor.audit() == 1
    assert names(store) == {"job-of-hostile", "job-of-victim"}, "what is not visible now is not deleted"


async def test_an_operator_for_all_namespaces_needs_the_right_to_list_them():
    class Refusing(Server):
        async def request(self, request: Request) -> dict[str, Any]:
            raise ForbiddenError(f"{request}: 403")

    server = Refusing()
    with pytest.raises(ForbiddenError):
        await KubernetesCluster(server, EventRecorder(server)).list(JOB)
