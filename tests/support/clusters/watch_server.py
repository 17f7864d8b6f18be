"""An API server that plays lists and watches from a script, with the faults of real connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Fault(Enum):
    """What happens to a watch instead of an event."""

    CUT = "the connection is closed"
    SILENCE = "nothing more comes"


Step = dict[str, Any] | bytes | Fault
"""An event, bytes as they are, or a fault."""


def make_object(name: str, version: int, uid: str = "", **more: Any) -> dict[str, Any]:
    """Return a Job as it is in an event."""
    metadata = {"namespace": "ns", "name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, **more}


def make_page(version: int, *items: dict[str, Any], token: str = "") -> dict[str, Any]:
    """Return a page of a list; in a list, objects have no kind."""
    bare = [{key: value for key, value in item.items() if key not in {"apiVersion", "kind"}} for item in items]
    return {"kind": "JobList", "metadata": {"resourceVersion": str(version), "continue": token}, "items": bare}


def make_event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a watch event."""
    return {"type": kind, "object": body}


def bookmark(version: int) -> dict[str, Any]:
    """Return a bookmark: an object with nothing but a version."""
    return make_event("BOOKMARK", {"kind": "Job", "metadata": {"resourceVersion": str(version)}})


class WatchServer:
    """Answers lists and watches in the order of the scripts; the watch after the last script sets ``exhausted``."""

    def __init__(self, lists: Sequence[dict[str, Any] | int], watches: Sequence[Sequence[Step] | int] = ()) -> None:
        self.lists = [*lists]
        self.watches = [*watches]
        self.list_queries: list[dict[str, str]] = []
        self.watch_queries: list[dict[str, str]] = []
        self.exhausted = asyncio.Event()
        self.over = asyncio.Event()
        self.url = ""

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[WatchServer]:
        application = web.Application()
        application.router.add_get("/apis/batch/v1/jobs", self._answer)
        application.router.add_get("/apis/batch/v1/namespaces/{namespace}/jobs", self._answer)
        async with TestServer(application) as server:
            self.url = str(server.make_url("")).rstrip("/")
            try:
                yield self
            finally:
                self.over.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        if "watch" not in query:
            self.list_queries.append(query)
            page = self.lists.pop(0)
            return refuse(page) if isinstance(page, int) else web.json_response(page)
        self.watch_queries.append(query)
        if not self.watches:
            self.exhausted.set()
            await self.over.wait()
            return refuse(503)
        script = self.watches.pop(0)
        return refuse(script) if isinstance(script, int) else await self._stream(request, script)

    async def _stream(self, request: web.Request, script: Sequence[Step]) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for step in script:
            if step is Fault.SILENCE:
                await self.over.wait()
            elif step is Fault.CUT:
                assert request.transport is not None
                request.transport.abort()
                break
            else:
                await response.write(step if isinstance(step, bytes) else json.dumps(step).encode() + b"\n")
        return response


def refuse(status: int) -> web.Response:
    """Return the API server's answer with a status."""
    return web.json_response({"kind": "Status", "code": status, "reason": "Expired", "message": "no"}, status=status)
