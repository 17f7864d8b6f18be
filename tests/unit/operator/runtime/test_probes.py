"""The operator's HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tunewright_operator.api.kinds import MODEL_SERVER
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.probes import start_probe_server


@pytest.fixture
def ready() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def address(ready: asyncio.Event) -> AsyncIterator[str]:
    runner = await start_probe_server(0, ready)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.content_type, await response.text()


async def test_a_replica_is_alive_from_the_start_and_ready_when_its_caches_are_filled(
    address: str, ready: asyncio.Event
) -> None:
    assert [(await get(address + path))[0] for path in ("/healthz", "/readyz")] == [200, 503]
    ready.set()
    assert [(await get(address + path))[0] for path in ("/healthz", "/readyz")] == [200, 200]


async def test_the_operators_metrics_are_served_for_prometheus(address: str) -> None:
    metrics.RECONCILES.labels(MODEL_SERVER.name, "conflict").inc()
    status, content_type, text = await get(f"{address}/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert 'tunewright_operator_reconciles_total{kind="ModelServer",outcome="conflict"}' in text


async def test_other_paths_are_not_found(address: str) -> None:
    assert (await get(f"{address}/debug"))[0] == 404
