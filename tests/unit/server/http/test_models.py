"""Clients see the aliases that have an adapter."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused, serve

CHAT = "/v1/chat/completions"


async def serve_many(pod, *names: str) -> None:
    routes = [world.make_route((pod.stable, 100), alias=name) for name in names]
    plan = world.make_plan(9, [pod.stable], [*routes, world.make_route(alias="empty")])
    assert (await pod.push(plan)).status_code == 200


async def ask(pod, model) -> list[str]:
    """Return the messages of both ways to name a model that does not exist."""
    responses = [await pod.client.post(CHAT, json=chat(model=model)), await pod.client.get(f"/v1/models/{model}")]
    return [refused(response, 404, "model_not_found") for response in responses]


async def test_one_model_is_an_entry_of_the_list(pod):
    (listed,) = (await pod.client.get("/v1/models")).json()["data"]
    response = await pod.client.get("/v1/models/support")
    assert (response.status_code, response.json()) == (200, listed)
    assert (listed["id"], listed["object"], listed["max_model_len"]) == ("support", "model", 64)


@pytest.mark.parametrize("model", ["unknown", world.BASE_NAME, "support--000000000000", "Support", "*", "empty2"])
async def test_a_model_that_does_not_exist_is_answered_with_those_that_do(pod, model):
    await serve_many(pod, "support", "billing")
    for message in await ask(pod, model):
        assert message.startswith(f"The model `{model}` does not exist; you can call: ")
        assert set(message.partition("call: ")[2].split(", ")) == {"support", "billing"}


async def test_at_most_20_models_are_named_and_the_most_similar_one_first(pod):
    await serve_many(pod, *(f"m{number:03}" for number in range(1000)))
    for message in await ask(pod, "M500"):
        named = message.partition("such as ")[2].partition(";")[0].split(", ")
        assert named == ["m500", *(f"m{number:03}" for number in range(19))]
        assert "you can call 1000 models" in message
        assert message.endswith("GET /v1/models lists all of them")


@pytest.mark.parametrize(("count", "all_named"), [(20, True), (21, False)])
async def test_twenty_models_are_all_named(pod, count, all_named):
    await serve_many(pod, *(f"m{number:03}" for number in range(count)))
    for message in await ask(pod, "x"):
        assert message.count(", m") == 19
        assert ("GET /v1/models" not in message) == all_named


async def test_a_server_without_a_model(pod):
    await pod.push(world.make_plan(9))
    for message in await ask(pod, "support"):
        assert message.endswith("you can call no model of this server yet")


async def test_a_model_without_an_adapter_is_unavailable_and_not_listed(pod):
    await serve(pod)
    refused(await pod.client.get("/v1/models/support"), 503, "adapter_unavailable")
    assert (await pod.client.get("/v1/models")).json()["data"] == []


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/support", "/v1/models/unknown", "/health", "/nowhere"])
async def test_head_answers_as_get_without_the_body(pod, path):
    whole, head = await pod.client.get(path), await pod.client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers == whole.headers


async def test_head_of_a_path_for_post_asks_vllm_nothing(pod):
    assert (await pod.client.head(CHAT)).status_code == 404
    assert pod.vllm.requests == []
