"""The fake cluster over HTTP, for tests that start whole processes: discovery, objects, lists and watches.

Each client gets a server of its own on the same cluster, so that a test sees which one asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import ALL_KINDS, Kind, kind_of
from tunewright_operator.cluster import AlreadyExistsError, Body, ClusterError, ConflictError, NotFoundError

_STATUS = {
    NotFoundError: (404, "NotFound"),
    AlreadyExistsError: (409, "AlreadyExists"),
    ConflictError: (409, "Conflict"),
}
PATIENCE_SECONDS = 300
"""How long a test waits for a process, whose start alone takes a minute on a machine with a high load."""


@dataclasses.dataclass(frozen=True)
class Address:
    """What a path of the API names."""

    kind: Kind
    namespace: str | None
    name: str
    part: str = ""


@dataclasses.dataclass(frozen=True)
class Write:
    """A request that changed something, and how many watches its client had open at that time."""

    client: str
    method: str
    address: Address
    body: Body
    watches: int


class HTTPCluster:
    """Servers of one fake cluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.writes: list[Write] = []
        self.watched: dict[str, list[Kind]] = {}
        """The kinds that a client watches now, each once for each open watch."""
        self._history: list[Body] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        cluster.on_change = self._record

    @contextlib.asynccontextmanager
    async def serve(self, client: str) -> AsyncIterator[str]:
        """Serve one client, and yield the address."""
        self.watched[client] = []

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._answer(client, request)
            except ClusterError as error:
                status, reason = _STATUS[type(error)]
                answer = {"kind": "Status", "reason": reason, "message": str(error), "code": status}
                return web.json_response(answer, status=status)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        async with TestServer(application) as server:
            yield str(server.make_url("")).rstrip("/")

    async def wait_until(self, holds: Callable[[], Any]) -> None:
        """Wait until a condition on the cluster or the requests holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 - several events change it
                await asyncio.sleep(0.02)

    def _record(self, body: Body) -> None:
        self._history.append(body)
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, client: str, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if parts[0] not in {"api", "apis"}:
            raise NotFoundError(request.path)
        if len(parts) <= (2 if parts[0] == "api" else 3):
            return web.json_response(_discover(parts))
        address = _read_address(parts)
        if request.method == "GET":
            return await self._read(client, request, address)
        body = json.loads(await request.read() or b"{}")
        written = await self._write(request, address, body)
        self.writes.append(Write(client, request.method, address, body, len(self.watched[client])))
        return web.json_response(written)

    async def _read(self, client: str, request: web.Request, address: Address) -> web.StreamResponse:
        if address.name:
            read = self.cluster.read_metadata if "Partial" in request.headers.get("Accept", "") else self.cluster.get
            body = await read(address.kind, address.namespace, address.name)
            if body is None:
                raise NotFoundError(request.path)
            return web.json_response(body)
        if request.query.get("watch"):
            return await self._watch(client, request, address.kind)
        pairs = (pair.split("=") for pair in request.query.get("labelSelector", "").split(",") if pair)
        items = await self.cluster.list(address.kind, address.namespace, dict(pairs))
        version = self._history[-1]["metadata"]["resourceVersion"] if self._history else "0"
        listed = {"apiVersion": address.kind.api_version, "kind": f"{address.kind.name}List"}
        return web.json_response({**listed, "metadata": {"resourceVersion": version}, "items": items})

    async def _watch(self, client: str, request: web.Request, kind: Kind) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        since, sent = int(request.query.get("resourceVersion") or 0), 0
        self.watched[client].append(kind)
        try:
            while True:
                for body in self._history[sent:]:
                    if kind_of(body) == kind and int(body["metadata"]["resourceVersion"]) > since:
                        await response.write(json.dumps({"type": "MODIFIED", "object": body}).encode() + b"\n")
                sent = len(self._history)
                async with self._changed:
                    await self._changed.wait_for(lambda sent=sent: len(self._history) > sent)
        finally:
            self.watched[client].remove(kind)

    async def _write(self, request: web.Request, address: Address, body: Body) -> Body:
        cluster, where = self.cluster, (address.kind, address.namespace, address.name)
        match request.method, request.headers.get("Content-Type", "").partition(";")[0]:
            case "POST", _:
                return await cluster.create(body)
            case "PUT", _ if address.part == "status":
                return await cluster.replace_status(body, body["status"])
            case "PUT", _:
                return await cluster.replace(body)
            case "PATCH", "application/merge-patch+json":
                changes = {
                    "resource_version" if key == "resourceVersion" else key: value
                    for key, value in body["metadata"].items()
                }
                return await cluster.patch_metadata(*where, **changes)
        raise NotImplementedError(f"{request.method} {request.path}")


def _discover(parts: list[str]) -> Body:
    """Return the answer to a request for the API's groups or kinds."""
    if parts == ["api"]:
        return {"versions": ["v1"]}
    if parts == ["apis"]:
        versions = {(kind.group, kind.version) for kind in ALL_KINDS if kind.group}
        groups = [{"name": group, "version": {"version": version}} for group, version in sorted(versions)]
        return {
            "groups": [
                {"name": one["name"], "versions": [one["version"]], "preferredVersion": one["version"]}
                for one in groups
            ]
        }
    group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
    found = [kind for kind in ALL_KINDS if (kind.group, kind.version) == (group, version)]
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    return {
        "resources": [
            {
                "name": kind.plural,
                "singularName": kind.name.lower(),
                "kind": kind.name,
                "namespaced": kind.namespaced,
                "verbs": verbs,
            }
            for kind in found
        ]
    }


def _read_address(parts: list[str]) -> Address:
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    (kind,) = [kind for kind in ALL_KINDS if (kind.group, kind.plural) == (group, rest[0])]
    return Address(kind, namespace, *(rest[1:3] or [""]))
