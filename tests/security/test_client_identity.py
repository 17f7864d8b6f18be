"""A client of one team, or a caller without a key, tries to use or to discover the aliases of another team."""

import asyncio

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, make_access, make_client, make_route, refused
from tunewright_contracts.clients.client_key import build_client_key
from tunewright_contracts.serving_plan import StickyKey

CHAT = "/v1/chat/completions"
OWN, FOREIGN, REVOKED = (build_client_key(letter * 12, "s" * 43) for letter in "ABC")
ALIAS, OTHER = "support", "payroll"


@pytest.fixture
async def shared(pod):
    """A pool of two teams; `pod.client` has a key of the team that owns `support`."""
    other = make_route((pod.stable, 100), alias=OTHER, sticky_by=(StickyKey(body_field="ticket"),))
    own = make_route((pod.stable, 100), alias=ALIAS)
    plan = world.make_plan(9, [pod.stable], [own, other.updated(namespace="finance")])
    assert (await pod.push(plan)).status_code == 200
    clients = (make_client(OWN), make_client(FOREIGN, namespace="finance"))
    assert (await pod.push_access(make_access(5, *clients))).status_code == 200
    pod.client.headers["authorization"] = f"Bearer {OWN}"
    return pod


INVALID = (
    {"authorization": ""},
    {"authorization": "Bearer none"},
    {"authorization": f"Bearer {REVOKED}"},
    {"authorization": f"Bearer {OWN[:-1]}"},
    {"authorization": f"Bearer {OWN.swapcase()}"},
    {"authorization": f"Basic {OWN}"},
    {"authorization": f"Bearer {OWN}", "api-key": FOREIGN},
    {"authorization": "Bearer ' or 1=1 --"},
    {"authorization": f"Bearer {'x' * 60_000}"},
    {"authorization": f"Bearer {world.make_token('state')}"},
    {"authorization": f"Bearer {world.make_token('evaluate', revisions=['base-model'])}"},
    {"authorization": "", "x-user-id": "web", "user": "web"},
)


async def test_every_invalid_key_gets_the_same_answer_and_reaches_nothing(shared):
    requests = (
        ("POST", CHAT, chat(model=ALIAS)),
        ("POST", CHAT, chat(model="unknown")),
        ("POST", "/v1/completions", {"model": ALIAS, "prompt": "x"}),
        ("GET", "/v1/models", None),
        ("GET", f"/v1/models/{ALIAS}", None),
    )
    texts = set()
    for headers in INVALID:
        for method, path, body in requests:
            response = await shared.client.request(method, path, headers=headers, json=body)
            refused(response, 401, "invalid_api_key")
            texts.add(response.text)
    (text,) = texts
    assert ALIAS not in text
    assert shared.vllm.requests == []


async def test_the_body_of_a_request_without_a_key_is_not_read(shared):
    async def receive():
        raise AssertionError("the body was read")

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"text/plain"), (b"content-length", b"99999999999")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "client": ("10.0.0.1", 1)}
    await asyncio.wait_for(shared.middleware(scope, receive, send), 10)
    assert sent[0]["status"] == 401


async def test_a_foreign_alias_is_answered_exactly_as_one_that_does_not_exist(shared):
    image = [{"type": "image_url"}]
    for prompt, fields in (
        ("hello", {}),
        ("hello", {"ticket": "1"}),  # the foreign alias identifies sessions by this field
        ("hello", {"temperature": "hot"}),
        ("hello", {"n": 999}),
        (image, {}),
    ):
        answers = []
        for model in (OTHER, "nowhere"):
            response = await shared.client.post(CHAT, json=chat(prompt, model=model, **fields))
            answers.append((response.status_code, response.text.replace(model, "<model>")))
        assert answers[0] == answers[1]
        assert answers[0][0] in (400, 404)
    assert shared.vllm.requests == []


async def test_lists_show_only_own_aliases(shared):
    listed = await shared.client.get("/v1/models")
    assert [model["id"] for model in listed.json()["data"]] == [ALIAS]
    one = await shared.client.get(f"/v1/models/{OTHER}")
    refused(one, 404, "model_not_found")
    wrong = await shared.client.post(CHAT, json=chat(model="nowhere"))
    for response in (listed, wrong):
        assert OTHER not in response.text
    assert one.text.count(OTHER) == 1  # what the caller asked for


async def test_a_client_whose_entry_names_a_foreign_alias_cannot_call_it(shared):
    greedy = make_client(OWN, all_aliases=False, aliases=(ALIAS, OTHER))
    await shared.push_access(make_access(6, greedy))
    refused(await shared.client.post(CHAT, json=chat(model=OTHER)), 404, "model_not_found")
    assert (await shared.client.post(CHAT, json=chat(model=ALIAS))).status_code == 200


async def test_access_does_not_follow_an_alias_to_its_next_owner(shared):
    moved = make_route((shared.stable, 100), alias=ALIAS).updated(namespace="finance")
    await shared.push(world.make_plan(10, [shared.stable], [moved]))
    refused(await shared.client.post(CHAT, json=chat(model=ALIAS)), 404, "model_not_found")


async def test_a_forged_foreign_or_replayed_list_revives_no_key(shared):
    headers = {"authorization": f"Bearer {REVOKED}"}
    for text in (
        world.sign(world.make_plan(99)),
        world.sign(make_access(99, make_client(REVOKED)), world.Ed25519PrivateKey.generate()),
        world.sign(make_access(99, make_client(REVOKED), server_uid="another")),
        world.sign(make_access(4, make_client(REVOKED))),  # signed, but replayed from before the revocation
        world.sign(make_access(5, make_client(REVOKED))),
        b"{" * 100_000,
    ):
        assert (await shared.client.put("/tunewright/v1/access", content=text)).status_code in (401, 409)
        refused(await shared.client.post(CHAT, json=chat(), headers=headers), 401, "invalid_api_key")
    assert (await shared.client.post(CHAT, json=chat())).status_code == 200


async def test_vllm_and_the_logs_never_see_a_key(shared, capsys):
    await shared.client.post(CHAT, json=chat(), headers={"api-key": OWN})
    await shared.client.post(CHAT, json=chat(), headers={"authorization": f"Bearer {REVOKED}"})
    (received,) = shared.vllm.headers
    assert received.keys().isdisjoint({"authorization", "api-key"})
    output = "".join(capsys.readouterr())
    state = str(await shared.state())
    for key in (OWN, FOREIGN, REVOKED):
        assert key not in output
        assert key not in state
