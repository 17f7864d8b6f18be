"""The operator's HTTP server: ``/healthz``, ``/readyz`` and ``/metrics``.

Ready means that the replica's caches are filled, so that it can take over. It does not depend on leadership: in a
rolling update the old replica holds the Lease until the new one is ready.

The server runs on the main loop, so a stalled main loop does not answer. The chart gives it longer than
`leader_thread.STALL_LIMIT_SECONDS`, after which the leader thread ends the process: a busy operator is not restarted.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


async def start_probe_server(port: int, ready: asyncio.Event) -> web.AppRunner:
    """Start the server; ``cleanup`` of the returned runner stops it."""

    async def answer_ready(_: web.Request) -> web.Response:
        if ready.is_set():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the first listing is not complete\n")

    application = web.Application()
    application.router.add_get("/healthz", _answer_ok)
    application.router.add_get("/readyz", answer_ready)
    application.router.add_get("/metrics", _answer_metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()
    return runner


async def _answer_ok(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _answer_metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
