"""The operator's HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tunewright_operator.api.kinds import MODEL_SERVER
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.probes import start_probe_server


@pytest.fixture
async def address() -> AsyncIterator[str]:
    runner = await start_probe_server(0)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.content_type, await response.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_succeed_while_the_process_serves(address: str, path: str) -> None:
    assert (await get(address + path))[0] == 200


async def test_the_operators_metrics_are_served_for_prometheus(address: str) -> None:
    metrics.RECONCILES.labels(MODEL_SERVER.name, "conflict").inc()
    status, content_type, text = await get(f"{address}/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert 'tunewright_operator_reconciles_total{kind="ModelServer",outcome="conflict"}' in text


async def test_other_paths_are_not_found(address: str) -> None:
    assert (await get(f"{address}/debug"))[0] == 404
