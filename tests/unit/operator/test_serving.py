"""The HTTP port to server pods, against a local HTTP server with good and bad answers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from support.worlds.rollout_world import make_server
from tunewright_contracts.serving_plan import PLAN_PATH, STATE_PATH, PodState, SignedPlan
from tunewright_operator import serving
from tunewright_operator.domain.serving.plan import build_plan
from tunewright_operator.serving import HTTPServerPods, PodAddress, PodUnreachableError, StateAnswer
from tunewright_operator.signing import SigningKey

POD = PodAddress("serving", "pool-1", "uid-1", "127.0.0.1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def start(monkeypatch) -> AsyncIterator[Callable[[Handler], Awaitable[list[web.Request]]]]:
    runners: list[web.AppRunner] = []

    async def serve(handler: Handler) -> list[web.Request]:
        seen: list[web.Request] = []

        async def record(request: web.Request) -> web.StreamResponse:
            seen.append(request)
            await request.read()
            return await handler(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", record)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        monkeypatch.setattr(serving, "SERVER_PORT", runner.addresses[0][1])
        runners.append(runner)
        return seen

    yield serve
    for runner in runners:
        await runner.cleanup()


def answer(text: str = "", status: int = 200, **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status, headers=headers)

    return handle


STATE = PodState(pod_uid="uid-1", boot_id="b").to_json()


async def test_a_state_is_fetched_with_the_token(start):
    seen = await start(answer(STATE))
    async with HTTPServerPods() as pods:
        answer_ = await pods.fetch_state(POD, "secret-token")
    assert (answer_.state.boot_id, answer_.etag) == ("b", "")
    assert seen[0].path == STATE_PATH
    assert seen[0].headers["Authorization"] == "Bearer secret-token"
    assert "If-None-Match" not in seen[0].headers


async def test_an_unchanged_state_is_not_sent_again(start):
    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers={"ETag": '"1"'})
        return web.Response(text=STATE, headers={"ETag": '"1"'})

    seen = await start(handle)
    async with HTTPServerPods() as pods:
        first = await pods.fetch_state(POD, "t")
        assert (first.state.boot_id, first.etag) == ("b", '"1"')
        assert await pods.fetch_state(POD, "t", first) is first
        changed = await pods.fetch_state(POD, "t", dataclasses.replace(first, etag='"0"'))
    assert changed == first
    assert [request.headers.get("If-None-Match") for request in seen] == [None, '"1"', '"0"']


async def test_a_tag_of_any_length_is_not_kept(start):
    await start(answer(STATE, ETag=f'"{"x" * 200}"'))
    async with HTTPServerPods() as pods:
        assert (await pods.fetch_state(POD, "t")).etag == ""


@pytest.mark.parametrize("known", [None, StateAnswer(PodState(pod_uid="uid-1", boot_id="b"), '"2"')])
async def test_a_pod_cannot_refer_to_a_state_that_the_operator_does_not_have(start, known):
    await start(answer("", 304, ETag='"1"'))
    async with HTTPServerPods() as pods:
        with pytest.raises(PodUnreachableError, match="304 for another state"):
            await pods.fetch_state(POD, "t", known)


async def test_a_push_that_is_answered_without_an_answer_failed(start):
    await start(answer("", 304))
    signed = SigningKey.generate().sign(build_plan(make_server(), [], None, []).plan, SignedPlan)
    async with HTTPServerPods() as pods:
        with pytest.raises(PodUnreachableError, match=r"PUT .* answered 304"):
            await pods.push_plan(POD, signed)


async def test_a_plan_is_pushed_as_signed(start):
    bodies: list[bytes] = []

    async def keep(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(text="{}")

    seen = await start(keep)
    signed = SigningKey.generate().sign(build_plan(make_server(), [], None, []).plan, SignedPlan)
    async with HTTPServerPods() as pods:
        await pods.push_plan(POD, signed)
    assert (seen[0].method, seen[0].path) == ("PUT", PLAN_PATH)
    assert SignedPlan.from_json(bodies[0]) == signed


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answer("no", 401), "answered 401: no"),
        (answer("", 302, Location="http://127.0.0.1:1/"), "answered 302"),
        (answer("not json"), "cannot be read"),
        (answer(PodState(pod_uid="another", boot_id="b").to_json()), "another pod answers"),
        (answer("x" * (serving.MAX_STATE_BYTES + 1)), "more than"),
    ],
    ids=["refused", "redirect", "garbage", "address reused", "too long"],
)
async def test_an_invalid_answer_counts_as_unreachable(start, handler, words):
    seen = await start(handler)
    async with HTTPServerPods() as pods:
        with pytest.raises(PodUnreachableError, match=words) as caught:
            await pods.fetch_state(POD, "secret-token")
    assert "pool-1" in str(caught.value)
    assert "secret-token" not in str(caught.value)
    assert len(seen) == 1, "nothing is followed or asked twice"


async def test_a_pod_that_does_not_answer_in_time_is_unreachable(start, monkeypatch):
    given_up = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await given_up.wait()
        return response

    monkeypatch.setattr(serving, "TIMEOUT_SECONDS", 0.05)
    await start(hang)
    async with HTTPServerPods() as pods:
        with pytest.raises(PodUnreachableError, match="GET"):
            await pods.fetch_state(POD, "t")
    given_up.set()


async def test_a_pod_with_a_closed_port_is_unreachable(monkeypatch):
    monkeypatch.setattr(serving, "SERVER_PORT", 1)
    async with HTTPServerPods() as pods:
        with pytest.raises(PodUnreachableError, match="pool-1"):
            await pods.fetch_state(POD, "t")
