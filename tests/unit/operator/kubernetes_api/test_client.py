"""The HTTP client: credentials, options, metrics and streams of every request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from support.clusters.recording_api import RecordingAPI, Tokens
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB
from tunewright_operator.cluster import ExpiredError, ForbiddenError, UnavailableError
from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb
from tunewright_operator.kubernetes_api.rate_limit import RateLimit, TokenBucket

GET = Request(Verb.GET, JOB, "/jobs/j")
WATCH = Request(Verb.WATCH, JOB, "/jobs", [("watch", "1")])


@pytest.fixture
async def api() -> AsyncIterator[RecordingAPI]:
    async with RecordingAPI().serve() as api:
        yield api


def count(verb: str, kind: str, code: str) -> float:
    labels = {"verb": verb, "kind": kind, "code": code}
    return REGISTRY.get_sample_value("tunewright_operator_api_requests_total", labels) or 0.0


async def ask(api: RecordingAPI, request: Request, *tokens: str) -> Any:
    client = APIClient(Tokens(api.url, *tokens))
    try:
        return await client.request(request)
    finally:
        await client.close()


async def test_a_token_that_is_refused_is_renewed_once(api: RecordingAPI):
    api.answers = [(401, {"reason": "Unauthorized"}), (200, {"kind": "Job"})]
    assert await ask(api, GET, "old", "new") == {"kind": "Job"}
    assert [asked.headers["Authorization"] for asked in api.asked] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("tokens", [["only"], ["old", "new"], []])
async def test_credentials_that_stay_refused_are_forbidden(api: RecordingAPI, tokens: list[str]):
    api.answers = [(401, {"reason": "Unauthorized", "message": "Unauthorized"})] * 2
    with pytest.raises(ForbiddenError, match="401 Unauthorized"):
        await ask(api, GET, *tokens)
    assert len(api.asked) == max(1, len(tokens))
    assert ("Authorization" in api.asked[0].headers) == bool(tokens)


async def test_queries_are_encoded(api: RecordingAPI):
    api.answers = [(200, {})]
    query = [("labelSelector", "a=b,c in (d)"), ("continue", "a+b/c==&x=1")]
    await ask(api, Request(Verb.LIST, JOB, "/jobs", query))
    assert api.asked[0].query == dict(query)


async def test_a_redirect_is_not_followed(api: RecordingAPI):
    api.answers = [(302, web.Response(status=302, headers={"Location": "/login"}))]
    with pytest.raises(UnavailableError, match="302"):
        await ask(api, GET)
    assert len(api.asked) == 1


@pytest.mark.parametrize(("answer", "code"), [((200, {}), "200"), ((404, {"reason": "NotFound"}), "404")])
async def test_requests_are_counted_by_verb_kind_and_status(api: RecordingAPI, answer: tuple[int, Any], code: str):
    seconds = ("tunewright_operator_api_request_seconds_count", {"verb": "update_status", "kind": "FineTuneJob"})
    before = count("update_status", "FineTuneJob", code), REGISTRY.get_sample_value(*seconds) or 0.0
    api.answers = [answer]
    request = Request(Verb.UPDATE_STATUS, FINE_TUNE_JOB, "/x/status", body={})
    await asyncio.gather(ask(api, request), return_exceptions=True)
    after = count("update_status", "FineTuneJob", code), REGISTRY.get_sample_value(*seconds)
    assert after == (before[0] + 1, before[1] + 1)


async def test_a_request_without_an_answer_is_counted_as_an_error(api: RecordingAPI):
    before = count("get", "Job", "error")
    hanging = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        hanging.set()
        await asyncio.Event().wait()
        raise AssertionError

    api.handle = hang  # type: ignore[method-assign]
    async with api.serve():
        task = asyncio.create_task(ask(api, GET))
        await hanging.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert count("get", "Job", "error") == before + 1


async def test_every_request_takes_a_token(api: RecordingAPI):
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    bucket = TokenBucket(RateLimit(1, 1), now=lambda: 0.0, sleep=wait)
    client = APIClient(Tokens(api.url), limit=bucket)
    api.answers = [(200, {}), (200, {}), (410, {"reason": "Expired"})]
    await client.request(GET)
    await client.request(GET)
    with pytest.raises(ExpiredError):
        async with client.stream(WATCH, total_seconds=60, silence_seconds=60):
            pytest.fail("the stream was refused")
    await client.close()
    assert waits == [1.0, 2.0]


async def test_a_stream_is_read_until_its_end(api: RecordingAPI):
    api.answers = [(200, web.Response(body=b"one\ntwo\n"))]
    client = APIClient(Tokens(api.url))
    async with client.stream(WATCH, total_seconds=60, silence_seconds=60) as reader:
        assert await reader.read() == b"one\ntwo\n"
    await client.close()
    assert api.asked[0].query == {"watch": "1"}


async def test_a_silent_stream_ends_with_an_error(api: RecordingAPI):
    async def be_silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    api.handle = be_silent  # type: ignore[method-assign]
    async with api.serve():
        client = APIClient(Tokens(api.url))
        async with client.stream(WATCH, total_seconds=600, silence_seconds=0.05) as reader:
            with pytest.raises(aiohttp.ServerTimeoutError):
                await reader.read()
        await client.close()
