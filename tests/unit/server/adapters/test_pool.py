"""A pod's adapters over time: they are loaded, fail, are replaced and removed; their files are deleted last."""

import asyncio
import dataclasses
import errno

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, serve
from tunewright_server.adapters.disk_budget import DiskBudget
from tunewright_server.adapters.load_journal import LoadJournal
from tunewright_storage.errors import StorageError, StorageReason

CHAT = "/v1/chat/completions"
Q_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


async def test_a_replaced_revision_finishes_its_requests_and_is_then_removed(pod):
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


async def test_leftovers_of_an_earlier_process_are_deleted(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    stale = pod.settings.adapters_folder / "support--000000000000"
    stale.mkdir(parents=True)
    async with pod.running():
        assert not stale.exists()


@pytest.mark.parametrize(
    ("publish", "reason"),
    [
        ({"tensors": {**world.make_tensors(), Q_A: world.np.full((4, 16), world.np.nan, "f4")}}, "NonFiniteWeights"),
        ({"weights": b"\x80\x04pickle"}, "NotSafetensors"),
        ({"rank": 512}, "RankTooHigh"),
        ({"config": world.make_config(r=64)}, "RankTooHigh"),
        ({"base_digest": "sha256:" + "c" * 64}, "BaseModelMismatch"),
    ],
)
async def test_a_bad_adapter_fails_permanently_and_the_pod_becomes_ready(pod, publish, reason):
    bad = pod.source.publish(pod.root / "bad", 9, **publish)
    await serve(pod, (pod.stable, 100), extra=[bad])
    state = {item["name"]: item for item in (await pod.state())["adapters"]}[bad.name]
    assert (state["phase"], state["reason"]) == ("Failed", reason)
    assert state["message"]
    assert not (pod.settings.adapters_folder / bad.name).exists()
    assert (await pod.client.post(CHAT, json=chat())).status_code == 200


async def test_an_adapter_with_a_huge_name_in_it_leaves_the_state_small(pod):
    name = "x" * 1_100_000
    bad = pod.source.publish(pod.root / "bad", 9, tensors={name: world.np.zeros((4, 16), "f4")})
    await serve(pod, (pod.stable, 100), extra=[bad])
    state = pod.runtime.state()
    assert {item.name: item.reason for item in state.adapters}[bad.name] == "UnknownModules"
    assert len(state.to_json()) < 4096


async def test_the_pod_refuses_another_tenants_adapter(pod):
    other = pod.stable.updated(namespace="billing")
    plan = world.make_plan(2, [other], [world.make_route((other, 100), alias="billing")])
    await pod.push(plan)
    await world.until(lambda: pod.runtime.pool.records[other.name].phase.value == "Loaded")
    fresh = pod.canary.updated(namespace="billing")
    await pod.push(world.make_plan(3, [fresh], [world.make_route((fresh, 100), alias="billing")]))
    await pod.settled()
    state = {item["name"]: item for item in (await pod.state())["adapters"]}[fresh.name]
    assert (state["phase"], state["reason"]) == ("Failed", "SourceNotAllowed")
    assert pod.source.fetched == [pod.stable.uri]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (StorageError(StorageReason.UNREACHABLE, "no answer"), "StorageUnreachable"),
        (OSError(errno.ENOSPC, "No space left on device"), "DiskFull"),
    ],
)
async def test_a_store_or_disk_that_is_briefly_unavailable_is_waited_for(pod, monkeypatch, failure, reason):
    monkeypatch.setattr("tunewright_server.adapters.convergence.LONGEST_RETRY_SECONDS", 0.2)
    pod.source.failure = failure
    await pod.push(world.make_plan(2, [pod.stable, pod.canary], [world.make_route((pod.stable, 100))]))
    await world.until(lambda: pod.runtime.pool.records.get(pod.canary.name))
    record = await world.until(
        lambda: next((r for r in pod.runtime.pool.states() if r.phase.value == "Retrying"), None)
    )
    assert (record.name, record.reason) == (pod.canary.name, reason)
    pod.source.failure = None
    await pod.settled()
    assert pod.canary.name in pod.engine.loaded


async def test_an_adapter_that_is_missing_at_one_uri_is_read_from_the_uri_of_the_next_plan(pod):
    lost = pod.canary.updated(uri=f"{world.PREFIX}/lost")
    await serve(pod, (pod.stable, 100), extra=[lost])
    assert pod.runtime.pool.records[lost.name].failure.reason == "NoManifest"
    await serve(pod, (pod.stable, 100), extra=[pod.canary])
    assert pod.canary.name in pod.engine.loaded
    assert pod.runtime.pool.records[lost.name].failure is None


async def test_no_manifest(pod):
    del pod.source.manifests[pod.canary.uri]
    await serve(pod, (pod.stable, 100), extra=[pod.canary])
    assert pod.runtime.pool.records[pod.canary.name].failure.reason == "NoManifest"


async def phase_of(pod, entry):
    state = {item["name"]: item for item in (await pod.state())["adapters"]}[entry.name]
    return state["phase"], state["reason"]


def loads(pod):
    return [name for event, name in pod.engine.events if event == "load"]


async def test_a_load_over_the_deadline_has_failed_permanently_also_after_a_restart(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    slow, good = pod.source.publish(tmp_path / "a", 1), pod.source.publish(tmp_path / "b", 2)
    pod.engine.block.add(slow.name)
    async with pod.running():
        pool = pod.runtime.pool
        pool._limits = dataclasses.replace(pool._limits, load_deadline_seconds=0.05)
        await serve(pod, (good, 100), extra=[slow])
        assert await phase_of(pod, slow) == ("Failed", "LoadDeadlineExceeded")
        assert (await pod.client.post(CHAT, json=chat())).status_code == 200
        moved = slow.updated(uri=f"{world.PREFIX}/moved")
        await serve(pod, (good, 100), extra=[moved])
        assert await phase_of(pod, slow) == ("Failed", "LoadDeadlineExceeded"), "the content is the same"
    again = world.Pod(tmp_path / "pod", pod.source)
    async with again.running():
        await again.settled()
        assert await phase_of(again, slow) == ("Failed", "LoadDeadlineExceeded")
        assert loads(again) == [good.name]
        assert not (again.settings.adapters_folder / slow.name).exists()


async def test_an_adapter_that_a_process_did_not_survive_is_loaded_last(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    suspect, *others = (pod.source.publish(tmp_path / str(seed), seed) for seed in range(4))
    LoadJournal(pod.settings.adapters_folder / ".loads").begin(suspect.name)
    async with pod.running():
        await serve(pod, (others[0], 100), extra=[suspect, *others[1:]])
        await world.until(lambda: suspect.name in pod.engine.loaded)
        assert loads(pod)[-1] == suspect.name
        await world.until(lambda: not list((pod.settings.adapters_folder / ".loads").iterdir()))


async def test_an_adapter_that_two_processes_did_not_survive_is_not_loaded_until_it_left_the_plan(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    bad, good = pod.source.publish(tmp_path / "a", 1), pod.source.publish(tmp_path / "b", 2)
    for _ in range(2):
        LoadJournal(pod.settings.adapters_folder / ".loads").begin(bad.name)
    pod.mount(world.make_plan(1, [bad], [world.make_route((bad, 100))]))
    async with pod.running():
        await pod.settled()
        assert await phase_of(pod, bad) == ("Failed", "LoadDeadlineExceeded")
        await serve(pod, (good, 100))
        await world.until(lambda: bad.name not in pod.runtime.pool.records)
        await serve(pod, (good, 100), extra=[bad])
        assert loads(pod) == [good.name, bad.name]


async def test_an_adapter_for_which_the_volume_has_no_room_waits_until_another_is_removed(pod):
    size = pod.source.manifests[pod.canary.uri].content_bytes
    budget = DiskBudget(size + size // 2)
    budget.reserve(pod.stable.name, size)
    pod.runtime.pool._files.budget = budget
    await pod.push(world.make_plan(2, [pod.stable, pod.canary], [world.make_route((pod.stable, 100))]))

    async def waits():
        return pod.canary.name in pod.runtime.pool.records and (await phase_of(pod, pod.canary))[0] == "Retrying"

    await world.until(waits)
    assert await phase_of(pod, pod.canary) == ("Retrying", "AdapterVolumeFull")
    assert not (pod.settings.adapters_folder / pod.canary.name).exists()
    await serve(pod, (pod.canary, 100))
    await world.until(lambda: pod.canary.name in pod.engine.loaded)


async def test_an_adapter_is_loaded_again_after_its_running_requests_and_at_most_once_a_minute(pod):
    pool, now = pod.runtime.pool, 1000.0
    pool._clock = lambda: now
    pod.vllm.hold.clear()
    running = asyncio.create_task(pod.client.post(CHAT, json=chat()))
    await world.until(lambda: pool.in_flight.get(pod.stable.name) == 1)
    pool.reload(pod.stable.name, "vLLM answered 404")
    assert await phase_of(pod, pod.stable) == ("Draining", "")
    world.refused(await pod.client.post(CHAT, json=chat()), 503, "adapter_unavailable")
    assert loads(pod) == [pod.stable.name]
    folder = pod.engine.loaded[pod.stable.name]
    pod.vllm.hold.set()
    assert (await running).status_code == 200
    await world.until(lambda: pool.is_loaded(pod.stable.name))
    assert pod.engine.events == [(event, pod.stable.name) for event in ("load", "unload", "load")]
    assert pod.engine.loaded[pod.stable.name] == folder
    assert pod.source.fetched == [pod.stable.uri], "the files are kept"
    now += 59
    pool.reload(pod.stable.name, "vLLM answered 404")
    assert await phase_of(pod, pod.stable) == ("Loaded", "")
    now += 1
    pool.reload(pod.stable.name, "vLLM answered 404")
    await world.until(lambda: len(loads(pod)) == 3)


async def test_an_adapter_that_vllm_does_not_unload_stays_loaded(pod, monkeypatch):
    async def refuse(_name):
        raise world.EngineRefusedError("busy")

    monkeypatch.setattr(pod.engine, "unload", refuse)
    pod.runtime.pool.reload(pod.stable.name, "vLLM answered 405")
    await world.until(lambda: pod.runtime.pool.is_loaded(pod.stable.name))
    assert loads(pod) == [pod.stable.name]


async def test_only_a_loaded_adapter_is_loaded_again(pod):
    for name in (world.BASE_NAME, pod.canary.name):
        pod.runtime.pool.reload(name, "vLLM answered 404")
    assert set(pod.runtime.pool.records) == {pod.stable.name}
