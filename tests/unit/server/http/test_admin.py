"""The operator's requests to a pod: reading the state needs a token, pushing a plan needs a signature."""

import support.worlds.server_world as world
from support.worlds.server_world import refused, serve
from tunewright_contracts.serving_plan import PodState
from tunewright_server.telemetry import memory
from tunewright_storage.errors import StorageError, StorageReason


async def test_a_pod_becomes_ready_when_settled_and_stays_ready(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    pod.source.failure = StorageError(StorageReason.UNREACHABLE, "no answer")
    async with pod.running() as client:
        assert (await client.get("/tunewright/v1/healthz")).status_code == 200
        assert (await client.get("/tunewright/v1/readyz")).status_code == 503  # no plan
        await pod.push(world.make_plan(1, [entry], []))
        response = await client.get("/tunewright/v1/readyz")
        assert (response.status_code, response.json()["waitingFor"]) == (503, [entry.name])
        pod.source.failure = None
        await pod.settled()
        assert (await client.get("/tunewright/v1/readyz")).status_code == 200
        pod.source.failure = StorageError(StorageReason.UNREACHABLE, "no answer")
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


async def test_an_unchanged_state_is_answered_without_a_body(pod, monkeypatch):
    monkeypatch.setattr(memory, "read_peak_mebibytes", lambda: 100)
    path, token = "/tunewright/v1/state", {"authorization": f"Bearer {world.make_token('state')}"}
    first = await pod.client.get(path, headers=token)
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"0", {etag}'):
        again = await pod.client.get(path, headers={**token, "if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await pod.client.get(path, headers={**token, "if-none-match": '"0"'})).json() == first.json()
    refused(await pod.client.get(path, headers={"if-none-match": etag}), 401, "unauthorized")
    await serve(pod, (pod.stable, 100))
    changed = await pod.client.get(path, headers={**token, "if-none-match": etag})
    assert (changed.status_code, changed.json()["planGeneration"]) == (200, 2)
    assert changed.headers["etag"] != etag


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
