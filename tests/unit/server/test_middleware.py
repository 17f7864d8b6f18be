"""One door: what a client may ask, who answers, what is counted, and what the operator sees."""

import asyncio
import contextlib
import gzip
import json
import math

import pytest

import server_world as world
from server_world import chat
from tunewright_contracts.serving_plan import OutputContract, PodState, StickyKey
from tunewright_storage.errors import StorageError, StorageReason

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "required": ["queue"]}


@pytest.fixture
async def pod(tmp_path):
    """A pod that serves `pod.stable` and, as canary, `pod.canary`."""
    pod = world.Pod(tmp_path / "pod", max_request_bytes=600_000)
    pod.stable = pod.source.publish(tmp_path / "a", 1)
    pod.canary = pod.source.publish(tmp_path / "b", 2)
    async with pod.running():
        await serve(pod, (pod.stable, 100))
        yield pod


async def serve(pod, *targets, extra=(), **route):
    """Push a plan with one route, wait until it is settled."""
    generation = pod.runtime.plan_generation + 1
    entries = [*(entry for entry, _ in targets), *extra]
    plan = world.make_plan(generation, entries, [world.make_route(*targets, **route)])
    assert (await pod.push(plan)).status_code == 200
    await pod.settled()


def refused(response, status, code):
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    return response.json()["error"]["message"]


# --- what a client sees -----------------------------------------------------------------------------------------------


async def test_an_answer_names_the_alias_and_its_revision(pod):
    response = await pod.client.post(CHAT, json=chat())
    assert response.status_code == 200
    assert response.json()["model"] == "support"
    assert pod.stable.name not in response.text
    assert response.headers["x-tunewright-revision"] == pod.stable.name
    assert int(response.headers["content-length"]) == len(response.content)
    assert pod.vllm.requests[-1]["model"] == pod.stable.name


async def test_completions_too(pod):
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
async def test_everything_else_does_not_exist(pod, method, path):
    response = await pod.client.request(method, path, json=chat() if method == "POST" else None)
    refused(response, 404, "not_found")
    assert pod.vllm.requests == []


async def test_health_and_metrics_are_vllms(pod):
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


async def test_a_revisions_own_name_is_unknown(pod):
    refused(await pod.client.post(CHAT, json=chat(model=pod.stable.name)), 404, "model_not_found")


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b'{"model":"support","model":"x","messages":[]}', {}, 400, "duplicate_model"),
        (b'{"model":"support","\\u006dodel":"x","messages":[]}', {}, 400, "duplicate_model"),
        (b'{"messages":[]}', {}, 400, "invalid_model"),
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


async def test_an_oversize_body_without_a_stated_length(pod):
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


async def test_vllms_errors_speak_of_the_alias(pod):
    response = await pod.client.post(CHAT, json=chat("400"))
    assert response.status_code == 400
    assert "`support`" in response.text
    assert pod.stable.name not in response.text
    stream = await pod.client.post(CHAT, json=chat("error-event", stream=True))
    assert "support failed" in stream.text
    assert pod.stable.name not in stream.text


# --- who answers ------------------------------------------------------------------------------------------------------


async def test_a_canary_gets_its_share_and_sessions_stay(pod):
    await serve(pod, (pod.stable, 50), (pod.canary, 50), sticky_by=(StickyKey(header="x-session-id"),), salt="r1")
    seen = {}
    for _ in range(2):
        for number in range(60):
            headers = {"x-session-id": f"session-{number}"}
            revision = (await pod.client.post(CHAT, json=chat(), headers=headers)).headers["x-tunewright-revision"]
            assert seen.setdefault(number, revision) == revision
    share = sum(revision == pod.canary.name for revision in seen.values())
    assert abs(share - 30) < 5 * math.sqrt(15)


async def test_an_alias_with_no_target_is_unavailable_never_the_base_model(pod):
    await serve(pod)
    response = await pod.client.post(CHAT, json=chat())
    refused(response, 503, "adapter_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert pod.vllm.requests == []


async def test_a_candidate_that_does_not_load_leaves_its_share_to_the_incumbent(pod):
    broken = pod.source.publish(pod.root / "c", 3, base_digest="sha256:" + "c" * 64)
    await serve(pod, (pod.stable, 1), (broken, 99))
    state = {item["name"]: item for item in (await pod.state())["adapters"]}
    assert state[broken.name]["phase"] == "Failed"
    assert state[broken.name]["reason"] == "BaseModelMismatch"
    for _ in range(20):
        response = await pod.client.post(CHAT, json=chat())
        assert response.headers["x-tunewright-revision"] == pod.stable.name


async def test_an_incumbent_that_does_not_load_leaves_nothing_to_the_candidate(pod):
    broken = pod.source.publish(pod.root / "c", 3, base_digest="sha256:" + "c" * 64)
    await serve(pod, (broken, 99), (pod.stable, 1))
    answers = [await pod.client.post(CHAT, json=chat()) for _ in range(20)]
    assert sum(answer.status_code == 503 for answer in answers) >= 15
    refused(next(answer for answer in answers if answer.status_code == 503), 503, "adapter_unavailable")


async def test_when_no_target_loads_the_alias_is_unavailable(pod):
    pod.engine.refuse.add(pod.canary.name)
    await pod.push(world.make_plan(2, [pod.canary], [world.make_route((pod.canary, 100))]))
    refused(await pod.client.post(CHAT, json=chat()), 503, "adapter_unavailable")


# --- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(revision, **claims):
    claims = {"revisions": [revision], **claims}
    token = world.make_token(claims.pop("scope", "evaluate"), **claims)
    return {"x-tunewright-evaluate": revision, "authorization": f"Bearer {token}"}


async def test_an_evaluation_reaches_a_revision_of_no_weight_and_counts_nothing(pod):
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


async def test_an_evaluation_without_a_token_or_with_another(pod):
    header = {"x-tunewright-evaluate": "base-model"}
    refused(await pod.client.post(CHAT, json=chat(), headers=header), 401, "unauthorized")
    wrong_scope = evaluate("base-model", scope="state")
    refused(await pod.client.post(CHAT, json=chat(), headers=wrong_scope), 401, "unauthorized")
    other = evaluate("base-model", revisions=["support--1"])
    refused(await pod.client.post(CHAT, json=chat(), headers=other), 403, "forbidden")
    text = evaluate("base-model", revisions="base-model")
    refused(await pod.client.post(CHAT, json=chat(), headers=text), 403, "forbidden")
    assert pod.vllm.requests == []


async def test_an_evaluation_of_what_is_not_loaded(pod):
    missing = "support--0123456789ab"
    refused(await pod.client.post(CHAT, json=chat(), headers=evaluate(missing)), 503, "adapter_unavailable")


# --- what is counted --------------------------------------------------------------------------------------------------


async def test_good_answers_and_server_errors(pod):
    await serve(pod, (pod.stable, 100), count_by_key_bucket=True, sticky_by=(StickyKey(body_field="user"),))
    for text in ("hello", "400", "500", "crash"):
        await pod.client.post(CHAT, json=chat(text, user="a"))
    await pod.client.post(CHAT, json=chat("error-event", stream=True, user="a"))
    with contextlib.suppress(RuntimeError):
        await pod.client.post(CHAT, json=chat("abort", stream=True, user="a"))
    counters = (await pod.counted(5))[pod.stable.name]
    assert counters["alias"] == "support"
    assert counters["answers"] == 5  # all but the client's own mistake
    assert counters["bad"] == {"ErrorRate": 4, "Latency": 0, "OutputContract": 0}
    assert sum(counters["latencyMilliseconds"]) == 5
    assert sorted(counters["answersByBucket"])[-2:] == [0, 5]
    assert sorted(counters["badByBucket"]["ErrorRate"])[-2:] == [0, 4]


async def test_counters_of_a_revision_that_the_plan_no_longer_names_are_forgotten(pod):
    await pod.client.post(CHAT, json=chat())
    assert set(await pod.counted(1)) == {pod.stable.name}
    await serve(pod, (pod.canary, 100))
    await pod.client.post(CHAT, json=chat())
    assert set(await pod.counted(1)) == {pod.canary.name}


async def test_counters_by_bucket_only_where_the_route_asks(pod):
    await pod.client.post(CHAT, json=chat())
    counters = (await pod.counted(1))[pod.stable.name]
    assert counters["answersByBucket"] == []


@pytest.mark.parametrize(("limit", "slow"), [(0, 1), (600_000, 0)])
async def test_slow_answers(pod, limit, slow):
    await serve(pod, (pod.stable, 100), slow_after_milliseconds=limit)
    await pod.client.post(CHAT, json=chat())
    assert (await pod.counted(1))[pod.stable.name]["bad"]["Latency"] == slow


@pytest.mark.parametrize("stream", [False, True])
async def test_output_contract(pod, stream):
    output = OutputContract(json_schema=SCHEMA, max_tokens=6)
    await serve(pod, (pod.stable, 100), output_contract=output, count_by_key_bucket=True)
    # The fake says 5 tokens for a whole answer and 7 for a streamed one.
    for answer in ('{"queue":"billing"}', "It goes to billing."):
        pod.vllm.answer = answer
        response = await pod.client.post(CHAT, json=chat(stream=stream))
        assert "usage" not in response.text or not stream  # asked for by us, kept from the client
    await pod.client.post(CHAT, json=chat("tool"))
    counters = (await pod.counted(3))[pod.stable.name]
    assert counters["bad"]["OutputContract"] == (2 if stream else 1)
    assert counters["unchecked"] == 1
    assert sum(counters["uncheckedByBucket"]) == 1
    assert counters["bad"]["ErrorRate"] == 0


async def test_usage_that_the_client_asked_for_is_passed_on(pod):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(max_tokens=6))
    body = chat(stream=True, stream_options={"include_usage": True})
    assert "usage" in (await pod.client.post(CHAT, json=body)).text


async def test_an_error_is_no_breach(pod):
    await serve(pod, (pod.stable, 100), output_contract=OutputContract(json_schema=SCHEMA))
    await pod.client.post(CHAT, json=chat("500"))
    counters = (await pod.counted(1))[pod.stable.name]
    assert (counters["bad"]["OutputContract"], counters["bad"]["ErrorRate"], counters["unchecked"]) == (0, 1, 1)


@pytest.mark.parametrize(("limit", "answers"), [(600_000, 0), (0, 1)])
async def test_a_client_that_leaves_counts_only_when_it_had_waited_too_long(pod, limit, answers):
    await serve(pod, (pod.stable, 100), slow_after_milliseconds=limit)
    pod.vllm.hold.clear()
    gone = asyncio.Event()
    first = [{"type": "http.request", "body": json.dumps(chat()).encode(), "more_body": False}]

    async def receive():
        if first:
            return first.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def inner(scope, receive, send):
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    sent = []

    async def send(message):
        sent.append(message)

    pod.middleware._app = inner
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [(b"content-type", b"application/json")]}
    task = asyncio.create_task(pod.middleware(scope, receive, send))
    await world.until(lambda: pod.runtime.pool.in_flight.get(pod.stable.name) == 1)
    gone.set()
    await task
    assert sent == []
    assert pod.runtime.pool.in_flight == {}
    counters = {item["revision"]: item for item in (await pod.state())["counters"]}
    assert sum(item["answers"] for item in counters.values()) == answers
    if answers:
        assert counters[pod.stable.name]["bad"] == {"ErrorRate": 0, "Latency": 1, "OutputContract": 0}


async def test_prometheus_shows_the_same_numbers(pod):
    from prometheus_client import REGISTRY, generate_latest

    await pod.client.post(CHAT, json=chat())
    await pod.client.post(CHAT, json=chat(model="unknown"))
    await pod.counted(1)
    text = generate_latest(REGISTRY).decode()
    labels = f'alias="support",revision="{pod.stable.name}"'
    assert f"tunewright_answers_total{{{labels}}} 1.0" in text
    assert (
        f'tunewright_bad_answers_total{{alias="support",metric="ErrorRate",revision="{pod.stable.name}"}} 0.0' in text
    )
    assert f"tunewright_answer_seconds_count{{{labels}}} 1.0" in text
    assert 'tunewright_refused_requests_total{code="model_not_found"} 1.0' in text
    assert f'tunewright_adapter_phase{{phase="Loaded",revision="{pod.stable.name}"}} 1.0' in text
    assert "tunewright_plan_generation 1.0" in text


# --- loading, draining, restarting ------------------------------------------------------------------------------------


async def test_a_replaced_revision_answers_what_is_under_way_then_goes(pod):
    pod.vllm.hold.clear()
    request = asyncio.create_task(pod.client.post(CHAT, json=chat()))
    await world.until(lambda: pod.vllm.requests)
    await serve(pod, (pod.canary, 100))
    state = {item["name"]: item for item in (await pod.state())["adapters"]}
    assert (state[pod.stable.name]["phase"], state[pod.stable.name]["inFlight"]) == ("Draining", 1)
    folder = pod.engine.loaded[pod.stable.name]
    pod.vllm.hold.set()
    assert (await request).headers["x-tunewright-revision"] == pod.stable.name
    await world.until(lambda: pod.stable.name not in pod.engine.loaded)
    await world.until(lambda: not folder.parent.exists())
    assert (await pod.client.post(CHAT, json=chat())).headers["x-tunewright-revision"] == pod.canary.name


async def test_a_rolled_back_revision_gets_no_new_request_while_it_drains(pod):
    await serve(pod, (pod.stable, 1), (pod.canary, 99))
    pod.vllm.hold.clear()
    requests = [asyncio.create_task(pod.client.post(CHAT, json=chat())) for _ in range(8)]
    await world.until(lambda: len(pod.vllm.requests) == 8)
    await serve(pod, (pod.stable, 100))
    late = asyncio.create_task(pod.client.post(CHAT, json=chat()))
    await world.until(lambda: len(pod.vllm.requests) == 9)
    assert pod.vllm.requests[-1]["model"] == pod.stable.name
    pod.vllm.hold.set()
    assert {(await request).status_code for request in [*requests, late]} == {200}


async def test_a_restart_with_operator_and_store_away_serves_the_same_plan(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    async with pod.running():
        await serve(pod, (entry, 100))
        first = await pod.state()
    again = world.Pod(tmp_path / "pod")
    again.source.failure = StorageError(StorageReason.UNREACHABLE, "the store is away")
    async with again.running():
        state = await again.settled()
        assert state["planHash"] == first["planHash"]
        assert state["bootId"] != first["bootId"]
        assert (await again.client.post(CHAT, json=chat())).headers["x-tunewright-revision"] == entry.name
    assert again.source.fetched == []


async def test_a_file_changed_on_disk_is_fetched_again(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    async with pod.running():
        await serve(pod, (entry, 100))
        weights = pod.engine.loaded[entry.name] / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    again = world.Pod(tmp_path / "pod", pod.source)
    async with again.running():
        await again.settled()
        assert weights.read_bytes() != data
    assert again.source.fetched == [entry.uri, entry.uri]


async def test_the_mounted_plan_alone_is_enough(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    pod.mount(world.make_plan(4, [entry], [world.make_route((entry, 100))]))
    async with pod.running() as client:
        assert (await pod.settled())["planGeneration"] == 4
        pod.mount(world.make_plan(5, [], []))
        await world.until(lambda: pod.runtime.plan_generation == 5)
        await world.until(lambda: not pod.engine.loaded)
        refused(await client.post(CHAT, json=chat()), 404, "model_not_found")


async def test_leftovers_of_an_earlier_process_are_deleted(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    stale = pod.settings.adapters_folder / "support--000000000000"
    stale.mkdir(parents=True)
    async with pod.running():
        assert not stale.exists()


@pytest.mark.parametrize(
    ("publish", "reason"),
    [
        ({"tensors": {**world.make_tensors(), "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": world.np.full((4, 16), world.np.nan, "f4")}}, "NonFiniteWeights"),
        ({"weights": b"\x80\x04pickle"}, "NotSafetensors"),
        ({"rank": 512}, "RankTooHigh"),
        ({"config": world.make_config(r=64)}, "RankTooHigh"),
        ({"base_digest": "sha256:" + "c" * 64}, "BaseModelMismatch"),
    ],
)  # fmt: skip
async def test_a_bad_adapter_fails_for_good_and_does_not_keep_the_pod_from_starting(pod, publish, reason):
    bad = pod.source.publish(pod.root / "bad", 9, **publish)
    await serve(pod, (pod.stable, 100), extra=[bad])
    state = {item["name"]: item for item in (await pod.state())["adapters"]}[bad.name]
    assert (state["phase"], state["reason"]) == ("Failed", reason)
    assert state["message"]
    assert not (pod.settings.adapters_folder / bad.name).exists()
    assert (await pod.client.post(CHAT, json=chat())).status_code == 200


async def test_the_pod_itself_refuses_another_tenants_adapter(pod):
    other = pod.stable.model_copy(update={"namespace": "billing"})
    plan = world.make_plan(2, [other], [world.make_route((other, 100), alias="billing")])
    await pod.push(plan)
    await world.until(lambda: pod.runtime.pool.records[other.name].phase.value == "Loaded")
    fresh = pod.canary.model_copy(update={"namespace": "billing"})
    await pod.push(world.make_plan(3, [fresh], [world.make_route((fresh, 100), alias="billing")]))
    await pod.settled()
    state = {item["name"]: item for item in (await pod.state())["adapters"]}[fresh.name]
    assert (state["phase"], state["reason"]) == ("Failed", "SourceNotAllowed")
    assert pod.source.fetched == [pod.stable.uri]


async def test_a_store_that_is_away_for_a_while_is_waited_for(pod):
    pod.source.failure = StorageError(StorageReason.UNREACHABLE, "the store is away")
    await pod.push(world.make_plan(2, [pod.stable, pod.canary], [world.make_route((pod.stable, 100))]))
    await world.until(lambda: pod.runtime.pool.records.get(pod.canary.name))
    record = await world.until(
        lambda: next((r for r in pod.runtime.pool.states() if r.phase.value == "Retrying"), None)
    )
    assert (record.name, record.reason) == (pod.canary.name, "StorageUnreachable")
    pod.source.failure = None
    await pod.settled()
    assert pod.canary.name in pod.engine.loaded


async def test_no_manifest(pod):
    del pod.source.manifests[pod.canary.uri]
    await serve(pod, (pod.stable, 100), extra=[pod.canary])
    assert pod.runtime.pool.records[pod.canary.name].reason == "NoManifest"


# --- the operator's side ----------------------------------------------------------------------------------------------


async def test_ready_only_when_settled_and_then_for_good(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    pod.source.failure = StorageError(StorageReason.UNREACHABLE, "the store is away")
    async with pod.running() as client:
        assert (await client.get("/tunewright/v1/healthz")).status_code == 200
        assert (await client.get("/tunewright/v1/readyz")).status_code == 503  # no plan
        await pod.push(world.make_plan(1, [entry], []))
        response = await client.get("/tunewright/v1/readyz")
        assert (response.status_code, response.json()["waitingFor"]) == (503, [entry.name])
        pod.source.failure = None
        await pod.settled()
        assert (await client.get("/tunewright/v1/readyz")).status_code == 200
        pod.source.failure = StorageError(StorageReason.UNREACHABLE, "the store is away")
        await pod.push(world.make_plan(2, [entry, pod.source.publish(tmp_path / "b", 2)], []))
        assert (await client.get("/tunewright/v1/readyz")).status_code == 200
        assert (await pod.state())["settled"] is False


async def test_state_needs_a_token_and_is_a_pod_state(pod):
    refused(await pod.client.get("/tunewright/v1/state"), 401, "unauthorized")
    headers = {"authorization": f"Bearer {world.make_token('evaluate')}"}
    refused(await pod.client.get("/tunewright/v1/state", headers=headers), 401, "unauthorized")
    state = PodState.from_wire(await pod.state())
    assert (state.pod_uid, state.plan_generation, state.plan_status) == ("pod-1", 1, "Applied")
    assert state.peak_memory_mebibytes > 10


async def test_pushed_plans(pod):
    lower = await pod.client.put("/tunewright/v1/plan", content=world.sign(world.make_plan(1, [pod.canary])))
    assert (lower.status_code, lower.json()["planStatus"]) == (409, "PlanConflict")
    await serve(pod, (pod.stable, 100))
    older = await pod.push(world.make_plan(1))
    assert (older.status_code, older.json()["planStatus"]) == (409, "PlanRefused")
    forged = world.sign(world.make_plan(9), world.Ed25519PrivateKey.generate())
    refused(await pod.client.put("/tunewright/v1/plan", content=forged), 401, "unauthorized")
    refused(await pod.client.put("/tunewright/v1/plan", content=b"x" * 2_000_000), 413, "request_too_large")
    assert pod.runtime.plan_generation == 2


async def test_a_runtime_that_cannot_start_stops_the_server(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    (pod.settings.base_model_folder / "model.safetensors").unlink()
    with pytest.raises(AssertionError, match=r"lifespan\.startup\.failed"):
        async with pod.running():
            pass


async def test_before_the_start_nothing_is_answered(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    middleware = world.TunewrightMiddleware(pod.vllm.app, build_runtime=pod.build)
    async with world.httpx.AsyncClient(
        transport=world.httpx.ASGITransport(middleware), base_url="http://pod"
    ) as client:
        refused(await client.post(CHAT, json=chat()), 503, "not_started")
