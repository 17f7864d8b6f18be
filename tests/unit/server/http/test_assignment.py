"""Which revision answers: a loaded one of the alias, or the one that an evaluation names."""

import math

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused, serve
from tunewright_contracts.serving_plan import StickyKey

CHAT = "/v1/chat/completions"


async def test_a_canary_gets_its_share_and_sessions_stay_on_their_revision(pod):
    await serve(pod, (pod.stable, 50), (pod.canary, 50), sticky_by=(StickyKey(header="x-session-id"),), salt="r1")
    seen = {}
    for _ in range(2):
        for number in range(60):
            headers = {"x-session-id": f"session-{number}"}
            revision = (await pod.client.post(CHAT, json=chat(), headers=headers)).headers["x-tunewright-revision"]
            assert seen.setdefault(number, revision) == revision
    share = sum(revision == pod.canary.name for revision in seen.values())
    assert abs(share - 30) < 5 * math.sqrt(15)


async def test_an_alias_without_a_target_is_unavailable_and_not_answered_by_the_base_model(pod):
    await serve(pod)
    response = await pod.client.post(CHAT, json=chat())
    refused(response, 503, "adapter_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert pod.vllm.requests == []


async def test_the_share_of_a_candidate_that_does_not_load_goes_to_the_incumbent(pod):
    broken = pod.source.publish(pod.root / "c", 3, base_digest="sha256:" + "c" * 64)
    await serve(pod, (pod.stable, 1), (broken, 99))
    state = {item["name"]: item for item in (await pod.state())["adapters"]}
    assert state[broken.name]["phase"] == "Failed"
    assert state[broken.name]["reason"] == "BaseModelMismatch"
    for _ in range(20):
        response = await pod.client.post(CHAT, json=chat())
        assert response.headers["x-tunewright-revision"] == pod.stable.name


async def test_the_share_of_an_incumbent_that_does_not_load_does_not_go_to_the_candidate(pod):
    broken = pod.source.publish(pod.root / "c", 3, base_digest="sha256:" + "c" * 64)
    await serve(pod, (broken, 99), (pod.stable, 1))
    answers = [await pod.client.post(CHAT, json=chat()) for _ in range(20)]
    assert sum(answer.status_code == 503 for answer in answers) >= 15
    refused(next(answer for answer in answers if answer.status_code == 503), 503, "adapter_unavailable")


async def test_when_no_target_loads_the_alias_is_unavailable(pod):
    pod.engine.refuse.add(pod.canary.name)
    await pod.push(world.make_plan(2, [pod.canary], [world.make_route((pod.canary, 100))]))
    refused(await pod.client.post(CHAT, json=chat()), 503, "adapter_unavailable")


def evaluate(revision, **claims):
    claims = {"revisions": [revision], **claims}
    token = world.make_token(claims.pop("scope", "evaluate"), **claims)
    return {"x-tunewright-evaluate": revision, "authorization": f"Bearer {token}"}


async def test_an_evaluation_reaches_a_revision_without_weight_and_is_not_counted(pod):
    await serve(pod, (pod.stable, 100), extra=[pod.canary])
    response = await pod.client.post(CHAT, json=chat(), headers=evaluate(pod.canary.name))
    assert response.headers["x-tunewright-revision"] == pod.canary.name
    assert response.json()["model"] == "support"
    assert pod.vllm.requests[-1]["model"] == pod.canary.name
    assert "x-tunewright-evaluate" not in pod.vllm.headers[-1]
    response = await pod.client.post(CHAT, json=chat(), headers=evaluate("base-model"))
    assert response.headers["x-tunewright-revision"] == "base-model"
    assert pod.vllm.requests[-1]["model"] == world.BASE_NAME
    assert response.json()["model"] == "support"
    assert (await pod.state())["counters"] == []


async def test_an_evaluation_without_a_valid_token(pod):
    header = {"x-tunewright-evaluate": "base-model"}
    refused(await pod.client.post(CHAT, json=chat(), headers=header), 401, "unauthorized")
    wrong_scope = evaluate("base-model", scope="state")
    refused(await pod.client.post(CHAT, json=chat(), headers=wrong_scope), 401, "unauthorized")
    other = evaluate("base-model", revisions=["support--1"])
    refused(await pod.client.post(CHAT, json=chat(), headers=other), 403, "forbidden")
    text = evaluate("base-model", revisions="base-model")
    refused(await pod.client.post(CHAT, json=chat(), headers=text), 403, "forbidden")
    assert pod.vllm.requests == []


async def test_an_evaluation_of_a_revision_that_is_not_loaded(pod):
    missing = "support--0123456789ab"
    refused(await pod.client.post(CHAT, json=chat(), headers=evaluate(missing)), 503, "adapter_unavailable")


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_each_request_stops_at_the_tokens_that_its_revision_learned(pod, path):
    """The base model of these adapters has another end token than the template that they were trained with."""
    stable, canary = pod.stable.updated(stop_token_ids=(2,)), pod.canary.updated(stop_token_ids=(7, 9))
    await serve(pod, (stable, 50), (canary, 50), sticky_by=(StickyKey(header="x-session-id"),), salt="r1")
    body = chat() if path == CHAT else {"model": "support", "prompt": "x"}
    sent = {}
    for number in range(20):
        headers = {"x-session-id": f"session-{number}"}
        response = await pod.client.post(path, json={**body, "stop_token_ids": [9], "stop": "END"}, headers=headers)
        assert pod.vllm.requests[-1]["stop"] == "END"
        sent[response.headers["x-tunewright-revision"]] = pod.vllm.requests[-1]["stop_token_ids"]
    assert sent == {stable.name: [9, 2], canary.name: [9, 7]}


async def test_an_evaluation_stops_at_the_tokens_of_the_revision_and_not_of_the_base_model(pod):
    canary = pod.canary.updated(stop_token_ids=(2,))
    await serve(pod, (pod.stable, 100), extra=[canary])
    for revision, stop_token_ids in ((canary.name, [2]), (pod.stable.name, None), ("base-model", None)):
        assert (await pod.client.post(CHAT, json=chat(), headers=evaluate(revision))).status_code == 200
        assert pod.vllm.requests[-1].get("stop_token_ids") == stop_token_ids


async def test_a_new_plan_can_add_stop_tokens_to_an_adapter_that_is_loaded(pod):
    await pod.client.post(CHAT, json=chat())
    assert "stop_token_ids" not in pod.vllm.requests[-1], "an adapter of an earlier release"
    await serve(pod, (pod.stable.updated(stop_token_ids=(2,)), 100))
    await pod.client.post(CHAT, json=chat())
    assert pod.vllm.requests[-1]["stop_token_ids"] == [2]
    assert pod.engine.events == [("load", pod.stable.name)], "it is not loaded again"
