"""Requests of evaluations get at most their share of a pod's free places; clients' requests are never refused."""

import asyncio

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused
from tunewright_contracts.pool_load import LOAD_HEADER, PodLoad
from tunewright_contracts.serving_plan import EVALUATE_HEADER

CHAT = "/v1/chat/completions"


def evaluate(pod, text="hello", **fields):
    token = world.make_token("evaluate", revisions=[pod.stable.name])
    headers = {EVALUATE_HEADER: pod.stable.name, "authorization": f"Bearer {token}"}
    return pod.client.post(CHAT, json=chat(text, **fields), headers=headers)


async def hold(pod, *requests):
    """Start requests that vLLM does not answer until `pod.vllm.hold` is set."""
    pod.vllm.hold.clear()
    before = len(pod.vllm.requests)
    tasks = [asyncio.create_task(request) for request in requests]
    await world.until(lambda: len(pod.vllm.requests) == before + len(requests))
    return tasks


async def release(pod, tasks):
    pod.vllm.hold.set()
    return [response.status_code for response in await asyncio.gather(*tasks)]


def read_load(response):
    return PodLoad.from_json(response.headers[LOAD_HEADER])


async def test_an_answer_to_an_evaluation_has_the_pods_load(pod):
    pod.engine.capacity = 8
    clients = await hold(pod, pod.client.post(CHAT, json=chat()))
    pod.vllm.hold.set()
    load = read_load(await evaluate(pod))
    assert (load.pod, load.capacity, load.evaluating) == (pod.runtime.boot_id, 8, 1)
    await release(pod, clients)


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
async def test_clients_do_not_see_the_load(pod, fields):
    assert LOAD_HEADER not in (await pod.client.post(CHAT, json=chat(**fields))).headers
    assert LOAD_HEADER in (await evaluate(pod, **fields)).headers


async def test_what_exceeds_the_share_is_refused_and_clients_are_not(pod):
    pod.engine.capacity = 8
    tasks = await hold(pod, *(evaluate(pod) for _ in range(4)))
    response = await evaluate(pod)
    assert "try again" in refused(response, 429, "evaluations_limited")
    assert response.headers["retry-after"] == "1"
    load = read_load(response)
    assert (load.evaluating, load.live, load.limit) == (4, 0, 4)
    clients = await hold(pod, *(pod.client.post(CHAT, json=chat()) for _ in range(6)))
    assert read_load(await evaluate(pod)).limit == 1
    assert await release(pod, [*tasks, *clients]) == [200] * 10
    assert (await evaluate(pod)).status_code == 200


@pytest.mark.parametrize("text", ["crash", "500", "429", "400"])
async def test_failed_requests_free_their_places(pod, text):
    pod.engine.capacity = 2
    for _ in range(3):
        response = await evaluate(pod, text)
        assert response.status_code == (500 if text == "crash" else int(text))
        assert LOAD_HEADER in response.headers
    assert (pod.runtime.load.read().evaluating, pod.runtime.load.read().live) == (0, 0)
    await pod.client.post(CHAT, json=chat(text))
    assert pod.runtime.load.read().live == 0


async def test_the_share_is_that_of_the_plan(pod):
    pod.engine.capacity = 8
    plan = world.make_plan(
        pod.runtime.plan_generation + 1,
        [pod.stable],
        [world.make_route((pod.stable, 100))],
        evaluation_share_percent=25,
    )
    assert (await pod.push(plan)).status_code == 200
    tasks = await hold(pod, evaluate(pod), evaluate(pod))
    assert read_load(await evaluate(pod)).limit == 2
    await release(pod, tasks)


async def test_a_refused_evaluation_is_no_evidence(pod):
    pod.engine.capacity = 1
    tasks = await hold(pod, evaluate(pod))
    refused(await evaluate(pod), 429, "evaluations_limited")
    await release(pod, tasks)
    assert (await pod.state())["counters"] == []
