"""A pod over time: what it serves after a restart, and what it reports to the operator."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import chat, refused, serve
from tunewright_contracts.serving_plan import MAX_STATE_BYTES, AdapterPhase, PlanStatus
from tunewright_server.adapters import convergence
from tunewright_server.adapters.convergence import AdapterRecord
from tunewright_server.kept_document import Offer
from tunewright_storage.adapter_reasons import AdapterFailure, AdapterReason
from tunewright_storage.errors import StorageError, StorageReason

CHAT = "/v1/chat/completions"


async def test_a_restart_without_operator_and_store_serves_the_same_plan(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    async with pod.running():
        await serve(pod, (entry, 100))
        first = await pod.state()
    again = world.Pod(tmp_path / "pod")
    again.source.failure = StorageError(StorageReason.UNREACHABLE, "no answer")
    async with again.running():
        state = await again.settled()
        assert state["planHash"] == first["planHash"]
        assert state["bootId"] != first["bootId"]
        assert (await again.client.post(CHAT, json=chat())).headers["x-tunewright-revision"] == entry.name
    assert again.source.fetched == []


async def test_the_mounted_plan_alone_suffices(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    entry = pod.source.publish(tmp_path / "a")
    pod.mount(world.make_plan(4, [entry], [world.make_route((entry, 100))]))
    async with pod.running() as client:
        assert (await pod.settled())["planGeneration"] == 4
        pod.mount(world.make_plan(5, [], []))
        await world.until(lambda: pod.runtime.plan_generation == 5)
        await world.until(lambda: not pod.engine.loaded)
        refused(await client.post(CHAT, json=chat()), 404, "model_not_found")


def test_a_pool_with_only_failures_reports_every_reason(tmp_path):
    pod = world.Pod(tmp_path / "pod", max_adapters=1024)
    runtime = pod.build(None)
    entry = pod.source.publish(tmp_path / "a")
    for number in range(1024):
        name = f"support--{number:012x}"
        failing = AdapterRecord(entry.updated(name=name), AdapterPhase.FETCHING, 0.0)
        message = "\x01" * 10_000 + "; publish it again"
        runtime.pool.records[name] = convergence.record_failure(
            failing, AdapterFailure(AdapterReason.NOT_SAFETENSORS, message), 0.0
        )
    state = runtime.state()
    assert len(state.to_json().encode()) <= MAX_STATE_BYTES
    assert [item.reason for item in state.adapters] == ["NotSafetensors"] * 1024
    assert all(item.message for item in state.adapters)


async def test_the_reason_for_a_refused_plan_is_cut(pod):
    pod.runtime._plans.keeper.last = Offer(PlanStatus.REFUSED, "the plan cannot be read: " + "x" * 9000)
    assert len(pod.runtime.state().plan_message) == 512


async def test_a_runtime_that_cannot_start_stops_the_server(tmp_path):
    pod = world.Pod(tmp_path / "pod")
    (pod.settings.base_model_folder / "model.safetensors").unlink()
    with pytest.raises(AssertionError, match=r"lifespan\.startup\.failed"):
        async with pod.running():
            pass
