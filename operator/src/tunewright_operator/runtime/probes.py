"""The operator's HTTP server: ``/healthz``, ``/readyz`` and ``/metrics``.

Readiness means "the process serves"; it is not gated on leadership, or a rolling update would wait for a Lease forever.
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

PROBE_PORT = 8080


async def start_probe_server(port: int = PROBE_PORT) -> web.AppRunner:
    """Serve until the returned runner's ``cleanup``."""
    application = web.Application()
    application.router.add_get("/healthz", _answer_ok)
    application.router.add_get("/readyz", _answer_ok)
    application.router.add_get("/metrics", _answer_metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()
    return runner


async def _answer_ok(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _answer_metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
