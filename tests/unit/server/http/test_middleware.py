"""Which requests a client may send, and what the answers contain."""

import gzip
import json

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused

CHAT = "/v1/chat/completions"
IMAGE = b'[{"type":"image_url","image_url":{"url":"http://a/"}}]'


async def test_an_answer_names_the_alias_and_its_revision(pod):
    response = await pod.client.post(CHAT, json=chat())
    assert response.status_code == 200
    assert response.json()["model"] == "support"
    assert pod.stable.name not in response.text
    assert response.headers["x-tunewright-revision"] == pod.stable.name
    assert int(response.headers["content-length"]) == len(response.content)
    assert pod.vllm.requests[-1]["model"] == pod.stable.name


async def test_completions_name_the_alias_too(pod):
    response = await pod.client.post("/v1/completions", json={"model": "support", "prompt": "x"})
    assert response.json()["model"] == "support"


async def test_a_streamed_answer_names_the_alias_in_every_event(pod):
    response = await pod.client.post(CHAT, json=chat(stream=True))
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert {json.loads(event)["model"] for event in events[:-1]} == {"support"}
    assert "".join(json.loads(e)["choices"][0]["delta"]["content"] for e in events[:-1]) == pod.vllm.answer
    assert response.headers["x-tunewright-revision"] == pod.stable.name


async def test_models_are_aliases(pod):
    response = await pod.client.get("/v1/models")
    assert [model["id"] for model in response.json()["data"]] == ["support"]
    assert world.BASE_NAME not in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/load_lora_adapter"),
        ("POST", "/adapters"),
        ("POST", "/invocations"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        ("POST", "/tokenize"),
        ("GET", "/version"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1/models"),
        ("DELETE", "/health"),
        ("GET", "/tunewright/v1/plan"),
        ("GET", "/tunewright/v1/other"),
    ],
)
async def test_all_other_paths_are_not_found(pod, method, path):
    response = await pod.client.request(method, path, json=chat() if method == "POST" else None)
    refused(response, 404, "not_found")
    assert pod.vllm.requests == []


async def test_health_and_metrics_are_those_of_vllm(pod):
    assert (await pod.client.get("/health")).status_code == 200
    assert (await pod.client.get("/metrics")).text == "vllm:x 1"


async def test_websockets_are_closed(pod):
    sent = []

    async def send(message):
        sent.append(message)

    await pod.middleware({"type": "websocket", "path": "/v1/realtime"}, None, send)
    assert sent[0]["type"] == "websocket.close"


@pytest.mark.parametrize("model", ["unknown", world.BASE_NAME, "support--000000000000", "Support", "*"])
async def test_an_unknown_model(pod, model):
    refused(await pod.client.post(CHAT, json=chat(model=model)), 404, "model_not_found")
    assert pod.vllm.requests == []


async def test_the_name_of_a_revision_is_unknown(pod):
    refused(await pod.client.post(CHAT, json=chat(model=pod.stable.name)), 404, "model_not_found")


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b'{"model":"support","model":"x","messages":[]}', {}, 400, "duplicate_model"),
        (b'{"model":"support","\\u006dodel":"x","messages":[]}', {}, 400, "duplicate_model"),
        (b'{"messages":[]}', {}, 400, "invalid_model"),
        (b'{"model":"support","messages":[{"role":"user","content":%s}]}' % IMAGE, {}, 400, "unsupported_content"),
        (b"model=support", {}, 400, "invalid_json"),
        (b'{"model":"support"}', {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (
            gzip.compress(b'{"model":"support"}', mtime=0),
            {"content-encoding": "gzip"},
            415,
            "unsupported_content_encoding",
        ),
        (b'{"model":"support","x":"' + b"y" * 700_000 + b'"}', {}, 413, "request_too_large"),
    ],
)
async def test_bad_requests(pod, content, headers, status, code):
    headers = {"content-type": "application/json", **headers}
    refused(await pod.client.post(CHAT, content=content, headers=headers), status, code)
    assert pod.vllm.requests == []


async def test_a_body_over_the_limit_without_a_stated_length(pod):
    async def chunks():
        for _ in range(8):
            yield b"y" * 100_000

    response = await pod.client.post(CHAT, content=chunks(), headers={"content-type": "application/json"})
    refused(response, 413, "request_too_large")


async def test_a_large_body_goes_through_unchanged(pod):
    body = chat("é" * 150_000, temperature=0.25)
    assert (await pod.client.post(CHAT, json=body)).status_code == 200
    assert pod.vllm.requests[-1] == {**body, "model": pod.stable.name}


async def test_what_vllm_parses_is_what_was_authorised(pod):
    content = b'{"\\u006dodel" : "support", "messages": [{"role":"user","content":"hi"}], "seed": 12345678901234567}'
    await pod.client.post(CHAT, content=content, headers={"content-type": "application/json"})
    assert pod.vllm.requests[-1]["model"] == pod.stable.name
    assert pod.vllm.requests[-1]["seed"] == 12345678901234567


async def test_errors_of_vllm_name_the_alias(pod):
    response = await pod.client.post(CHAT, json=chat("400"))
    assert response.status_code == 400
    assert "`support`" in response.text
    assert pod.stable.name not in response.text
    stream = await pod.client.post(CHAT, json=chat("error-event", stream=True))
    assert "support failed" in stream.text
    assert pod.stable.name not in stream.text


async def test_requests_before_the_start_are_refused(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    middleware = world.TunewrightMiddleware(pod.vllm.app, build_runtime=pod.build)
    async with world.httpx.AsyncClient(
        transport=world.httpx.ASGITransport(middleware), base_url="http://pod"
    ) as client:
        refused(await client.post(CHAT, json=chat()), 503, "not_started")
