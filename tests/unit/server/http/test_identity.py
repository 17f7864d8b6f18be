"""Where a request has its key, and how a request without a valid one is answered."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import CLIENT_KEY, chat, make_access, make_client, refused
from tunewright_contracts.clients.client_key import build_client_key
from tunewright_contracts.serving_plan import PodState
from tunewright_server.http.identity import find_token

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], None),
        ([(b"authorization", b"Bearer abc")], "abc"),
        ([(b"authorization", b"bearer  abc ")], "abc"),
        ([(b"api-key", b"abc")], "abc"),
        ([(b"authorization", b"Basic abc")], ""),
        ([(b"authorization", b"Bearer")], ""),
        ([(b"authorization", b"Bearer abc"), (b"api-key", b"abc")], "abc"),
        ([(b"authorization", b"Bearer abc"), (b"authorization", b"Bearer def")], "abc def"),
        ([(b"authorization", b"Bearer \xff")], "\xff"),
    ],
)
def test_the_token_of_a_request(headers, token):
    assert find_token(headers) == token


@pytest.mark.parametrize("header", [{"authorization": f"Bearer {CLIENT_KEY}"}, {"api-key": CLIENT_KEY}])
async def test_a_valid_key_in_either_header(pod, header):
    pod.client.headers.pop("authorization")
    assert (await pod.client.post(CHAT, json=chat(), headers=header)).status_code == 200


async def test_the_refusal_says_what_to_do(pod):
    response = await pod.client.post(CHAT, json=chat(), headers={"authorization": "Bearer none"})
    message = refused(response, 401, "invalid_api_key")
    assert "ModelClient" in message
    assert response.headers["www-authenticate"] == "Bearer"
    assert pod.runtime.refusals == {"invalid_api_key": 1}


async def test_a_pool_that_does_not_require_keys(pod):
    assert (await pod.push_access(make_access(2, make_client(CLIENT_KEY), anonymous=True))).status_code == 200
    for token in ("none", CLIENT_KEY):
        headers = {"authorization": f"Bearer {token}"}
        assert (await pod.client.post(CHAT, json=chat(), headers=headers)).status_code == 200
    headers = {"authorization": f"Bearer {build_client_key('x' * 12, 's' * 43)}"}
    refused(await pod.client.post(CHAT, json=chat(), headers=headers), 401, "invalid_api_key")


async def test_a_pod_without_a_list_is_not_ready_and_answers_no_request(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    (pod.root / "access" / "access.json").unlink()
    async with pod.running() as client:
        await pod.push(world.make_plan(1))
        response = await client.get("/tunewright/v1/readyz")
        assert (response.status_code, response.json()["accessGeneration"]) == (503, 0)
        refused(await client.get("/v1/models"), 503, "not_started")
        await pod.push_access(make_access(3))
        assert (await client.get("/tunewright/v1/readyz")).status_code == 200
        assert PodState.from_wire(await pod.state()).access.generation == 3


async def test_a_revoked_key_is_refused_at_the_next_request_and_after_a_restart(pod):
    assert (await pod.client.post(CHAT, json=chat())).status_code == 200
    assert (await pod.push_access(make_access(2))).status_code == 200
    refused(await pod.client.post(CHAT, json=chat()), 401, "invalid_api_key")
    state = PodState.from_wire(await pod.state())
    assert (state.access.generation, state.access.hash) == (2, make_access(2).content_hash)
    again = world.Pod(pod.root)  # the kubelet still mounts the list with the key
    async with again.running() as client:
        refused(await client.post(CHAT, json=chat()), 401, "invalid_api_key")


async def test_a_mounted_list_alone_suffices(pod):
    pod.mount_access(make_access(2))
    await world.until(lambda: pod.runtime.access_generation == 2)
    refused(await pod.client.post(CHAT, json=chat()), 401, "invalid_api_key")
