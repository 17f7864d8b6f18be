"""Reading the progress of a trainer pod that may be slow, broken or hostile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.progress import MAX_ANSWER_BYTES, HTTPTrainerProgress

GOOD = Progress(phase=Phase.TRAINING, step=3, total_steps=9, updated_at="2026-01-01T00:00:00Z")


async def fetch(answer: Callable[[], web.Response]) -> Progress | None:
    async def handle(_: web.Request) -> web.Response:
        return answer()

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(text=GOOD.to_json())

    application = web.Application()
    application.router.add_get("/progress", handle)
    application.router.add_get("/elsewhere", elsewhere)
    async with TestServer(application, host="127.0.0.1") as server, HTTPTrainerProgress(server.port or 0) as trainers:
        return await trainers.fetch("127.0.0.1")


async def test_a_good_answer():
    assert await fetch(lambda: web.Response(text=GOOD.to_json())) == GOOD


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500, text=GOOD.to_json()),
        lambda: web.Response(text="not json"),
        lambda: web.Response(text='{"phase": "Dancing"}'),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(text=GOOD.to_json() + " " * MAX_ANSWER_BYTES),
    ],
    ids=["status", "no-json", "no-progress", "redirect", "too-long"],
)
async def test_anything_else_is_none(answer: Callable[[], web.Response]):
    assert await fetch(answer) is None


async def test_a_closed_port_is_none():
    async with HTTPTrainerProgress(1) as trainers:
        assert await trainers.fetch("127.0.0.1") is None
