"""How the middleware counts answers."""

import asyncio
import contextlib
import json

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, serve
from tunewright_contracts.serving_plan import OutputContract, StickyKey
from tunewright_server.http import request_body
from tunewright_server.http.errors import RefusalCode, RefusalError

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "required": ["queue"]}


async def test_good_answers_and_server_errors(pod):
    await serve(pod, (pod.stable, 100), count_by_key_bucket=True, sticky_by=(StickyKey(body_field="user"),))
    for text in ("hello", "400", "500", "crash"):
        await pod.client.post(CHAT, json=chat(text, user="a"))
    await pod.client.post(CHAT, json=chat("error-event", stream=True, user="a"))
    with contextlib.suppress(RuntimeError):
        await pod.client.post(CHAT, json=chat("abort", stream=True, user="a"))
    counters = (await pod.counted(5))[pod.stable.name]
    assert counters["alias"] == "support"
    assert counters["answers"] == 5  # all except the client's error
    assert (counters["requests"], counters["abandoned"]) == (5, 0)
    assert counters["bad"] == {"ErrorRate": 4, "Latency": 0, "OutputContract": 0}
    assert sum(counters["latencyMilliseconds"]) == 5
    assert sorted(counters["answersByBucket"])[-2:] == [0, 5]
    assert sorted(counters["requestsByBucket"])[-2:] == [0, 5]
    assert counters["abandonedByBucket"] == [0] * 64
    assert sorted(counters["badByBucket"]["ErrorRate"])[-2:] == [0, 4]


@pytest.mark.parametrize("levels", [255, 600, 1023])
async def test_a_body_that_cannot_be_encoded_again_is_not_counted(pod, levels):
    body = b'{"model":"support","messages":[],"x":' + b"[" * levels + b"]" * levels + b"}"
    response = await pod.client.post(CHAT, content=body, headers={"content-type": "application/json"})
    world.refused(response, 400, "invalid_json")
    assert (await pod.state())["counters"] == []
    assert pod.runtime.pool.in_flight == {}


async def test_a_refusal_is_not_counted_even_after_a_revision_was_chosen(pod, monkeypatch):
    def refuse(_data):
        raise RefusalError(400, RefusalCode.INVALID_JSON, "no")

    monkeypatch.setattr(request_body, "encode_body", refuse)
    world.refused(await pod.client.post(CHAT, json=chat()), 400, "invalid_json")
    assert (await pod.state())["counters"] == []
    assert pod.runtime.pool.in_flight == {}
    assert pod.runtime.refusals == {"invalid_json": 1}


async def test_counters_of_a_revision_that_left_the_plan_are_deleted(pod):
    await pod.client.post(CHAT, json=chat())
    assert set(await pod.counted(1)) == {pod.stable.name}
    await serve(pod, (pod.canary, 100))
    await pod.client.post(CHAT, json=chat())
    assert set(await pod.counted(1)) == {pod.canary.name}


async def test_answers_are_counted_by_bucket_only_if_the_route_says_so(pod):
    await pod.client.post(CHAT, json=chat())
    counters = (await pod.counted(1))[pod.stable.name]
    assert counters["answersByBucket"] == []
    assert (counters["requestsByBucket"], counters["abandonedByBucket"]) == ([], [])


@pytest.mark.parametrize(("limit", "slow"), [(0, 1), (600_000, 0)])
async def test_slow_answers(pod, limit, slow):
    await serve(pod, (pod.stable, 100), slow_after_milliseconds=limit)
    await pod.client.post(CHAT, json=chat())
    assert (await pod.counted(1))[pod.stable.name]["bad"]["Latency"] == slow


@pytest.mark.parametrize("stream", [False, True])
async def test_output_contract(pod, stream):
    output = OutputContract(json_schema=SCHEMA, max_tokens=6)
    await serve(pod, (pod.stable, 100), output_contract=output, count_by_key_bucket=True)
    # The fake reports 5 tokens for a whole answer and 7 for a streamed one.
    for answer in ('{"queue":"billing"}', "It goes to billing."):
        pod.vllm.answer = answer
        response = await pod.client.post(CHAT, json=chat(stream=stream))
        assert "usage" not in response.text or not stream  # the middleware requests it and removes it
    await pod.client.post(CHAT, json=chat("tool"))
    counters = (await pod.counted(3))[pod.stable.name]
    assert counters["bad"]["OutputContract"] == (2 if stream else 1)
    assert counters["unchecked"] == 1
    assert sum(counters["uncheckedByBucket"]) == 1
    assert counters["bad"]["ErrorRate"] == 0


async def test_usage_that_the_client_requested_is_passed_on(pod):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(max_tokens=6))
    body = chat(stream=True, stream_options={"include_usage": True})
    assert "usage" in (await pod.client.post(CHAT, json=body)).text


async def test_an_error_is_no_breach_of_the_contract(pod):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(json_schema=SCHEMA))
    await pod.client.post(CHAT, json=chat("500"))
    counters = (await pod.counted(1))[pod.stable.name]
    assert (counters["bad"]["OutputContract"], counters["bad"]["ErrorRate"], counters["unchecked"]) == (0, 1, 1)


@pytest.mark.parametrize("code", [400, 404, 429, 500, 503])
async def test_an_error_inside_a_stream_is_a_failed_answer_and_no_breach(pod, code):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(json_schema=SCHEMA, max_tokens=6))
    await pod.client.post(CHAT, json=chat(f"error-event{code}", stream=True))
    counters = (await pod.counted(1))[pod.stable.name]
    assert counters["bad"] == {"ErrorRate": 1, "Latency": 0, "OutputContract": 0}
    assert (counters["answers"], counters["unchecked"], counters["overloaded"]) == (1, 1, 0)


@pytest.mark.parametrize("status", [401, 404, 405, 415])
async def test_a_revision_that_vllm_does_not_know_is_a_server_error_and_loaded_again(pod, status):
    loads = pod.engine.events.count(("load", pod.stable.name))
    response = await pod.client.post(CHAT, json=chat(str(status)))
    world.refused(response, 503, "adapter_unavailable")
    assert pod.stable.name not in response.text
    await world.until(lambda: pod.engine.events.count(("load", pod.stable.name)) == loads + 1)
    await world.until(lambda: pod.runtime.pool.is_loaded(pod.stable.name))
    counters = (await pod.counted(1))[pod.stable.name]
    assert counters["bad"]["ErrorRate"] == counters["requests"] == 1
    assert (await pod.client.post(CHAT, json=chat())).status_code == 200


@pytest.mark.parametrize("status", [429, 503])
async def test_load_is_counted_separately(pod, status):
    await serve(pod, (pod.stable, 100), count_by_key_bucket=True)
    assert (await pod.client.post(CHAT, json=chat(str(status)))).status_code == status
    counters = next(item for item in (await pod.state())["counters"] if item["revision"] == pod.stable.name)
    assert (counters["overloaded"], counters["requests"], counters["answers"]) == (1, 0, 0)
    assert counters["bad"]["ErrorRate"] == sum(counters["requestsByBucket"]) == 0
    assert pod.runtime.pool.is_loaded(pod.stable.name)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("finish", "options", "breaches", "unchecked"),
    [
        (("length", None), {}, 1, 0),
        (("length", None), {"max_tokens": 5}, 0, 1),
        (("length", None), {"max_completion_tokens": 5}, 0, 1),
        (("stop", "\n"), {"stop": ["\n"]}, 0, 1),
        (("stop", 7), {"stop_token_ids": [7]}, 0, 1),
        (("stop", 2), {"stop_token_ids": [7]}, 1, 0),
        (("stop", None), {"max_tokens": 5}, 1, 0),
    ],
)
async def test_an_answer_that_the_clients_own_options_cut_is_unchecked(
    pod, stream, finish, options, breaches, unchecked
):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(json_schema=SCHEMA))
    pod.vllm.answer, pod.vllm.finish = '{"queue":"bil', finish
    await pod.client.post(CHAT, json=chat(stream=stream, **options))
    counters = (await pod.counted(1))[pod.stable.name]
    assert (counters["bad"]["OutputContract"], counters["unchecked"]) == (breaches, unchecked)
    assert counters["bad"]["ErrorRate"] == 0


@pytest.mark.parametrize(("limit", "breaches"), [(4, 1), (5, 0)])
async def test_an_answer_that_was_cut_but_is_already_too_long_is_a_breach(pod, limit, breaches):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(max_tokens=limit))
    pod.vllm.finish = ("length", None)
    await pod.client.post(CHAT, json=chat(max_tokens=5))
    counters = (await pod.counted(1))[pod.stable.name]
    assert (counters["bad"]["OutputContract"], counters["unchecked"]) == (breaches, 1 - breaches)


async def send_nothing(_send):
    """Stand for an app that is cancelled before it sends anything."""


async def send_null(send):
    """End a whole answer as vLLM's `with_cancellation` does under FastAPI after a disconnect."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"null", "more_body": False})


async def leave(pod, inner, **body) -> dict:
    """Let a client disconnect while `inner` answers for vLLM; return the counters of the stable revision, if any."""
    gone = asyncio.Event()
    path, request = CHAT, chat(**body)
    if "echo" in body:  # chats have none
        path, request = "/v1/completions", {"model": "support", "prompt": "hello", **body}
    first = [{"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}]

    async def receive():
        if first:
            return first.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def answer(scope, receive, send):
        await receive()
        await inner(receive, send)

    async def send(_message):
        """Send to a client that has disconnected, without an effect."""

    pod.middleware._app = answer
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {world.CLIENT_KEY}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    task = asyncio.create_task(pod.middleware(scope, receive, send))
    await world.until(lambda: pod.runtime.pool.in_flight.get(pod.stable.name) == 1)
    gone.set()
    await task
    assert pod.runtime.pool.in_flight == {}
    return next((item for item in (await pod.state())["counters"] if item["revision"] == pod.stable.name), {})


def stream(*events, done=False):
    """Return an app that streams events, and ends or waits for the client's disconnect."""

    async def inner(receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        parts = [json.dumps(event) for event in events] + ["[DONE]"] * done
        for part in parts:
            await send({"type": "http.response.body", "body": f"data: {part}\n\n".encode(), "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    return inner


@pytest.mark.parametrize("contract", [None, OutputContract(json_schema=SCHEMA)], ids=["free", "contract"])
@pytest.mark.parametrize("finish", [send_nothing, send_null])
@pytest.mark.parametrize(("limit", "answers"), [(600_000, 0), (0, 1)])
async def test_a_client_that_disconnects_counts_only_after_the_latency_limit(pod, limit, answers, finish, contract):
    await serve(pod, (pod.stable, 100), slow_after_milliseconds=limit, output_contract=contract)

    async def inner(receive, send):
        assert (await receive())["type"] == "http.disconnect"
        await finish(send)

    counters = await leave(pod, inner)
    assert counters["answers"] == answers
    assert (counters["requests"], counters["abandoned"]) == (1, 1)
    assert counters["bad"] == {"ErrorRate": 0, "Latency": answers, "OutputContract": 0}
    assert counters["unchecked"] == (answers and contract is not None)


PIECE = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
LONG = {**PIECE, "usage": {"completion_tokens": 3}}


@pytest.mark.parametrize(
    ("events", "body", "breaches"),
    [
        ([PIECE] * 2, {}, 0),
        ([PIECE] * 3, {}, 1),
        ([LONG], {}, 1),
        ([LONG], {"n": 2}, 0),
        ([LONG], {"echo": True}, 0),
    ],
)
@pytest.mark.parametrize(("limit", "slow"), [(600_000, 0), (0, 1)])
async def test_a_stream_that_was_too_long_before_the_client_left_is_a_breach(pod, events, body, breaches, limit, slow):
    output = OutputContract(json_schema=SCHEMA, max_tokens=2)
    rules = {"slow_after_milliseconds": limit, "output_contract": output, "count_by_key_bucket": True}
    await serve(pod, (pod.stable, 100), **rules)
    counters = await leave(pod, stream(*events), stream=True, **body)
    assert (counters["requests"], counters["abandoned"]) == (1, 1)
    assert counters["answers"] == max(breaches, slow)
    assert counters["bad"] == {"ErrorRate": 0, "Latency": slow, "OutputContract": breaches}
    assert counters["unchecked"] == counters["answers"] - breaches
    assert sum(counters["requestsByBucket"]) == sum(counters["abandonedByBucket"]) == 1
    assert sum(counters["uncheckedByBucket"]) == counters["unchecked"]


async def test_a_client_that_closes_the_connection_after_the_last_event_has_its_answer(pod):
    counters = await leave(pod, stream(PIECE, done=True), stream=True)
    assert (counters["requests"], counters["answers"], counters["abandoned"]) == (1, 1, 0)


async def test_an_answer_that_a_shutdown_cancels_is_not_counted(pod):
    pod.vllm.hold.clear()
    task = asyncio.create_task(pod.client.post(CHAT, json=chat()))
    await world.until(lambda: pod.runtime.pool.in_flight.get(pod.stable.name) == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert pod.runtime.pool.in_flight == {}
    assert (await pod.state())["counters"] == []


@pytest.mark.parametrize("stream", [1, "true", "on"])
async def test_a_lenient_boolean_asks_for_the_usage_too(pod, stream):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(max_tokens=6))
    response = await pod.client.post(CHAT, json=chat(stream=stream))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "usage" not in response.text
    counters = (await pod.counted(1))[pod.stable.name]
    assert (counters["bad"]["OutputContract"], counters["unchecked"]) == (1, 0)


@pytest.mark.parametrize(("echo", "unchecked"), [("false", 0), (0, 0), ("true", 1), (1, 1)])
async def test_an_echo_is_read_as_vllm_reads_it(pod, echo, unchecked):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(json_schema=SCHEMA))
    await pod.client.post("/v1/completions", json={"model": "support", "prompt": "x", "echo": echo})
    assert (await pod.counted(1))[pod.stable.name]["unchecked"] == unchecked
