"""Web pages of the allowed origins can call the server, and no others."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused

CHAT = "/v1/chat/completions"
ORIGIN = "https://chat.example.com"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-session-id",
}


async def allow(pod, *origins):
    plan = world.make_plan(9, [pod.stable], [world.make_route((pod.stable, 100))], allowed_origins=origins)
    assert (await pod.push(plan)).status_code == 200


def cors_headers(response) -> set[str]:
    return {name for name in response.headers if name.startswith("access-control-")}


async def test_a_preflight_of_an_allowed_origin(pod):
    await allow(pod, ORIGIN, "http://localhost:3000")
    for path in (CHAT, "/v1/models"):
        response = await pod.client.request("OPTIONS", path, headers={"origin": ORIGIN, **PREFLIGHT})
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in response.headers["access-control-allow-methods"]
        assert response.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
        assert int(response.headers["access-control-max-age"]) > 0
        assert "Origin" in response.headers["vary"]
        assert "access-control-allow-credentials" not in response.headers
    assert pod.vllm.requests == []
    assert pod.runtime.refusals == {}


@pytest.mark.parametrize(
    "origin",
    ["https://other.example.com", f"{ORIGIN}:8443", f"{ORIGIN}.evil.com", "http://chat.example.com", "null", "*", ""],
)
@pytest.mark.parametrize("allowed", [(), (ORIGIN,)])
async def test_another_origin_is_not_allowed(pod, origin, allowed):
    await allow(pod, *allowed)
    asked = await pod.client.request("OPTIONS", CHAT, headers={"origin": origin, **PREFLIGHT})
    assert "spec.allowedOrigins" in refused(asked, 403, "origin_not_allowed")
    answered = await pod.client.post(CHAT, json=chat(), headers={"origin": origin})
    assert answered.status_code == 200, "only browsers enforce this"
    assert cors_headers(asked) == cors_headers(answered) == set()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", CHAT, 200), ("GET", "/v1/models", 200), ("GET", "/v1/models/x", 404), ("GET", "/nowhere", 404)],
)
async def test_answers_and_errors_can_be_read_by_a_page_of_an_allowed_origin(pod, method, path, status):
    await allow(pod, ORIGIN)
    body = {"json": chat()} if method == "POST" else {}
    response = await pod.client.request(method, path, headers={"origin": ORIGIN}, **body)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "x-tunewright-revision" in response.headers["access-control-expose-headers"]
    assert response.headers["vary"] == "Origin"


async def test_a_stream_can_be_read_too(pod):
    await allow(pod, ORIGIN)
    response = await pod.client.post(CHAT, json=chat(stream=True), headers={"origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("path", [CHAT, "/metrics"])
@pytest.mark.parametrize("origin", [ORIGIN, "https://other.example.com"])
async def test_headers_of_vllm_that_allow_every_origin_are_removed(pod, path, origin):
    await allow(pod, ORIGIN)
    inner = pod.middleware._app

    async def app(scope, receive, send):
        async def send_all(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"Access-Control-Allow-Origin", b"*")]}
            await send(message)

        await inner(scope, receive, send_all)

    pod.middleware._app = app
    method, body = ("POST", {"json": chat()}) if path == CHAT else ("GET", {})
    response = await pod.client.request(method, path, headers={"origin": origin}, **body)
    assert response.status_code == 200
    assert response.headers.get_list("access-control-allow-origin") == ([ORIGIN] if origin == ORIGIN else [])


@pytest.mark.parametrize("headers", [{}, {"origin": ORIGIN}, PREFLIGHT])
async def test_options_without_a_preflight_is_an_unknown_method(pod, headers):
    await allow(pod, ORIGIN)
    response = await pod.client.request("OPTIONS", CHAT, headers=headers)
    assert "send POST" in refused(response, 404, "not_found")


async def test_a_new_plan_changes_the_allowed_origins(pod):
    await allow(pod, ORIGIN)
    await pod.push(world.make_plan(10, [pod.stable], [world.make_route((pod.stable, 100))]))
    asked = await pod.client.request("OPTIONS", CHAT, headers={"origin": ORIGIN, **PREFLIGHT})
    refused(asked, 403, "origin_not_allowed")


async def test_other_clients_get_no_headers_for_browsers(pod):
    assert "vary" not in (await pod.client.get("/v1/models")).headers
    await allow(pod, ORIGIN)
    response = await pod.client.get("/v1/models")
    assert response.headers["vary"] == "Origin", "a cache must not give this answer to a page"
    assert cors_headers(response) == set()
