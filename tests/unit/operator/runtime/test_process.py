"""The process works from Kopf's startup to its cleanup; a signal stops it, and Kopf then waits for nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tunewright_operator.runtime import process
from tunewright_operator.runtime.process import run_process

PATIENCE_OF_KOPF_SECONDS = 5
"""How long Kopf waits at its end for tasks that are left."""
DISCOVERY = {"/api": {"versions": ["v1"]}, "/api/v1": {"resources": []}, "/apis": {"groups": []}}


@pytest.fixture(autouse=True)
async def requests(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """The requests of Kopf to an API server without kinds. Kopf's handlers of signals end with the test."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.json_response(DISCOVERY[request.path])

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application) as server:
        url = str(server.make_url("")).rstrip("/")
        monkeypatch.setattr(process, "log_in", lambda **_: kopf.ConnectionInfo(server=url))
        yield paths
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


async def wait_for_discovery(requests: list[str]) -> None:
    """Wait until Kopf has discovered everything: of a discovery that is interrupted, tasks are left over."""
    while len(requests) < len(DISCOVERY) or any("_read_" in str(t.get_coro()) for t in asyncio.all_tasks()):  # noqa: ASYNC110 - Kopf has no event for it
        await asyncio.sleep(0.01)


class Work:
    """Work that does something when Kopf has started, or before it, and then waits for its stop."""

    def __init__(self, act: Callable[[], object], requests: list[str] | None = None) -> None:
        self.act = act
        self.requests = requests
        self.seen: list[str] = []

    async def __call__(self, *, stop: asyncio.Event, started: asyncio.Event) -> None:
        if self.requests is not None:
            started.set()
            await wait_for_discovery(self.requests)
        self.seen.append("acts")
        self.act()
        await stop.wait()
        await asyncio.sleep(0.05)  # Longer than Kopf needs to end.
        self.seen.append("ends")


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


async def run(work: process.Work) -> None:
    async with asyncio.timeout(60):
        await run_process(work, "pod")


@pytest.mark.parametrize("starting", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_work_and_the_process_waits_for_its_end(
    number: signal.Signals, starting: bool, requests: list[str]
):
    work = Work(send(number), None if starting else requests)
    await run(work)
    assert work.seen == ["acts", "ends"]
    assert sorted(requests) == ([] if starting else sorted(DISCOVERY)), "Kopf asks for nothing else"


async def test_kopf_waits_for_nothing_after_the_work_has_ended(monkeypatch: pytest.MonkeyPatch, requests: list[str]):
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_later = loop.call_later

    def record(delay: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(delay)
        return call_later(delay, *arguments, **options)

    monkeypatch.setattr(loop, "call_later", record)
    await run(Work(send(signal.SIGTERM), requests))
    assert PATIENCE_OF_KOPF_SECONDS not in timers


@pytest.mark.parametrize("starting", [True, False])
async def test_work_that_fails_ends_the_process_with_its_error(starting: bool, requests: list[str]):
    def fail() -> None:
        raise KeyError("uid")

    with pytest.raises(KeyError, match="uid"):
        await run(Work(fail, None if starting else requests))


async def test_work_that_ends_ends_the_process(requests: list[str]):
    async def end(*, stop: asyncio.Event, started: asyncio.Event) -> None:
        started.set()
        await wait_for_discovery(requests)
        assert not stop.is_set()

    await run(end)


async def test_a_failure_of_kopf_stops_the_work(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    async def work(*, stop: asyncio.Event, started: asyncio.Event) -> None:
        started.set()
        await stop.wait()
        seen.append("ends")

    monkeypatch.setattr(process, "log_in", lambda **_: None)
    with pytest.raises(kopf.LoginError):
        await run(work)
    assert seen == ["ends"]


def test_kopf_has_no_handler_of_a_resource_and_so_writes_nothing():
    registry = process._Process(Work(print)).build_registry()
    kinds = (registry._watching, registry._changing, registry._spawning, registry._indexing, registry._webhooks)
    assert [kind.get_all_handlers() for kind in kinds] == [[]] * len(kinds)
    assert {handler.id for handler in registry._activities.get_all_handlers()} == {"start", "stop", "login"}
