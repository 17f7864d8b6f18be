"""Measure what a listed and a changed object cost: Kopf's event path and the operator's reflector, in one run.

    .venv/bin/python bench/watch_feed.py [--objects 2000] [--rounds 3] [--report build/bench/watch_feed.json]

A second process plays the API server: it answers with prepared bytes, first a list and then a watch in which every
object changes once. Each round starts a new process for Kopf and one for the reflector, in turn, with the same objects
and a handler that only counts. The CPU time of that process is measured until the last object of the list, and from
there until the last event; its memory is measured at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent))

from api_client import build_object
from tunewright_operator.api.kinds import CUSTOM_RESOURCE_DEFINITION, FINE_TUNE_JOB, GROUP, NAMESPACE, VERSION, Kind

Pipe = multiprocessing.connection.Connection
Body = dict[str, Any]

PAGE = 500
VERBS = ["get", "list", "watch", "patch", "update"]
COLLECTION = f"/apis/{GROUP}/{VERSION}/{FINE_TUNE_JOB.plural}"
SECONDS_PER_RUN = 600.0


def describe(kind: Kind) -> Body:
    """Return a kind as the API server describes it."""
    return {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "kind": kind.name,
        "namespaced": kind.namespaced,
        "verbs": VERBS,
        "shortNames": [],
    }


class Server:
    """An API server with one kind."""

    def __init__(self, objects: int) -> None:
        listed = [build_object(number) for number in range(1, objects + 1)]
        self.pages = {}
        for start in range(0, objects, PAGE):
            following = start + PAGE if start + PAGE < objects else ""
            metadata = {"resourceVersion": str(objects), "continue": str(following)}
            page = {"kind": "FineTuneJobList", "metadata": metadata, "items": listed[start : start + PAGE]}
            self.pages[str(start or "")] = json.dumps(page).encode()
        changed = [
            {"type": "MODIFIED", "object": {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}}
            for version, body in enumerate(listed, objects + 1)
        ]
        self.events = b"".join(json.dumps(event).encode() + b"\n" for event in changed)
        self.may_change = asyncio.Event()

    async def list_or_watch(self, request: web.Request) -> web.StreamResponse:
        """Answer a list with its page, and a watch with all events when they may come."""
        if "watch" not in request.query:
            # Kopf's default is one list without pages; both use pages of this size here.
            body = self.pages[request.query.get("continue", "")]
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await self.may_change.wait()
        await response.write(self.events)
        await asyncio.Event().wait()
        return response

    async def change(self, _: web.Request) -> web.Response:
        """Let the events come."""
        self.may_change.set()
        return web.Response()

    async def discover(self, request: web.Request) -> web.Response:
        """Answer what Kopf asks before it watches."""
        kinds = (FINE_TUNE_JOB, CUSTOM_RESOURCE_DEFINITION, NAMESPACE)
        groups = []
        resources: dict[str, Body] = {}
        for kind in kinds:
            path = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
            resources[path] = {"resources": [describe(kind)]}
            versions = {"groupVersion": kind.api_version, "version": kind.version}
            if kind.group:
                groups.append({"name": kind.group, "versions": [versions], "preferredVersion": versions})
        answers: dict[str, Body] = {
            **resources,
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
            "/api": {"versions": ["v1"]},
            "/apis": {"groups": groups},
        }
        answer = answers.get(request.path)
        return web.json_response(answer or {}, status=200 if answer else 404)

    async def run(self, pipe: Pipe) -> None:
        """Serve until the process is ended; send the URL over the pipe."""
        application = web.Application()
        application.router.add_get(COLLECTION, self.list_or_watch)
        application.router.add_post("/change", self.change)
        application.router.add_get("/{path:.*}", self.discover)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()


def serve(objects: int, pipe: Pipe) -> None:
    """Run the server in this process."""

    async def run() -> None:
        await Server(objects).run(pipe)

    asyncio.run(run())


def count_pages() -> int:
    """Return the pages of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1])


class Count:
    """Counts handled objects, and measures the CPU time until each half is complete."""

    def __init__(self, objects: int, url: str) -> None:
        self.objects = objects
        self.url = url
        self.seen = 0
        self.listed = asyncio.Event()
        self.changed = asyncio.Event()

    def add(self) -> None:
        """Take note of one handled object."""
        self.seen += 1
        if self.seen == self.objects:
            self.listed.set()
        elif self.seen == 2 * self.objects:
            self.changed.set()

    async def measure(self) -> dict[str, float]:
        """Return the milliseconds of CPU for a listed and for a changed object, and the memory."""
        import aiohttp  # noqa: PLC0415 - the process of the server does not need a client

        started = time.process_time()
        await self.listed.wait()
        listed = time.process_time()
        async with aiohttp.ClientSession() as session:
            await session.post(f"{self.url}/change")
        await self.changed.wait()
        changed = time.process_time()
        gc.collect()
        pages = await asyncio.to_thread(count_pages)
        return {
            "listedMilliseconds": (listed - started) / self.objects * 1_000,
            "changedMilliseconds": (changed - listed) / self.objects * 1_000,
            "MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        }


async def run_kopf(count: Count) -> Callable[[], Awaitable[None]]:
    """Start Kopf with one event handler."""
    import kopf  # noqa: PLC0415 - only this process imports it

    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def log_in(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=count.url)

    @kopf.on.event(GROUP, VERSION, FINE_TUNE_JOB.plural, registry=registry)
    async def handle(**_: Any) -> None:
        count.add()

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = PAGE
    task = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True, identity="bench")
    )

    async def stop() -> None:
        task.cancel()
        await asyncio.wait({task})

    return stop


async def run_reflector(count: Count) -> Callable[[], Awaitable[None]]:
    """Start a reflector."""
    from tunewright_operator.kubernetes_api.client import APIClient  # noqa: PLC0415 - see above
    from tunewright_operator.kubernetes_api.credentials import Endpoint  # noqa: PLC0415
    from tunewright_operator.kubernetes_api.reflector import Reflector  # noqa: PLC0415

    class Anonymous:
        endpoint = Endpoint(count.url)

        def authorization(self) -> str | None:
            return None

        async def renew(self, _refused: str | None) -> bool:
            return False

    class Sink:
        def upsert(self, _kind: Kind, _body: Body) -> None:
            count.add()

        def remove(self, kind: Kind, namespace: str | None, name: str, uid: str, *, version: str | None) -> None:
            raise AssertionError(f"{kind} {namespace}/{name} {uid} exists at {version}")

        def retain(self, _kind: Kind, _uids: AbstractSet[str], _version: str) -> None:
            """Nothing is gone."""

        def synced(self, _kind: Kind) -> None:
            """Everything is listed."""

    client = APIClient(Anonymous())
    task = asyncio.create_task(Reflector(client, FINE_TUNE_JOB, Sink()).run())

    async def stop() -> None:
        task.cancel()
        await asyncio.wait({task})
        await client.close()

    return stop


FEEDS = {"kopf": run_kopf, "reflector": run_reflector}


def measure(name: str, objects: int, url: str, pipe: Pipe) -> None:
    """Run one feed in this process and send its figures over the pipe."""

    async def run() -> None:
        count = Count(objects, url)
        stop = await FEEDS[name](count)
        async with asyncio.timeout(SECONDS_PER_RUN):
            pipe.send(await count.measure())
        await stop()

    asyncio.run(run())


def main() -> None:
    """Run both feeds in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results: dict[str, list[dict[str, float]]] = {name: [] for name in FEEDS}
    for _ in range(arguments.rounds):
        for name, runs in results.items():
            mine, theirs = context.Pipe()
            server = context.Process(target=serve, args=(arguments.objects, theirs), daemon=True)
            server.start()
            url = mine.recv()
            mine, theirs = context.Pipe()
            feed = context.Process(target=measure, args=(name, arguments.objects, url, theirs), daemon=True)
            feed.start()
            runs.append(mine.recv())
            feed.terminate()
            server.terminate()
            feed.join()
            server.join()
    print(f"{arguments.objects} objects of 6 KB, median of {arguments.rounds} rounds")
    for name, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"{name:10} listed {middle['listedMilliseconds']:6.3f} ms   "
            f"changed {middle['changedMilliseconds']:6.3f} ms   memory {middle['MiB']:5.0f} MiB"
        )
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
