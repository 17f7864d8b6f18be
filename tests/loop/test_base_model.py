"""The BaseModel loop: inspect a model once, and keep it while something uses it."""

from __future__ import annotations

import pytest

from support.worlds.job_worlds import DIGEST, BaseModelWorld, failed, inspected
from tunewright_contracts.inspection import BaseModelInspection
from tunewright_operator.api.kinds import BASE_MODEL, JOB, SECRET

JOB_NAME = "base-model-smol-inspect"
SYSTEM = "tunewright-system"


async def test_inspection_resolves_revision_and_digest():
    world = BaseModelWorld()
    await world.settle()
    assert world.condition("Ready")["reason"] == "Inspecting"
    assert BaseModelInspection.from_json(world.jobs.request(JOB_NAME)).s3.uri == "s3://bucket/models/smol"
    container = world.cluster.peek(JOB, SYSTEM, JOB_NAME)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "operator:1"
    assert container["command"] == ["python", "-m", "tunewright_storage", "inspect-base-model"]
    world.jobs.start(JOB_NAME)
    await world.settle()
    world.jobs.finish(JOB_NAME, inspected())
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Reconciling") is None
    assert world.body["status"]["digest"] == DIGEST
    assert world.body["status"]["revision"] == "abc"
    assert world.cluster.peek(JOB, SYSTEM, JOB_NAME)["spec"]["ttlSecondsAfterFinished"] == 3600


async def test_an_inspected_model_is_never_inspected_again():
    world = BaseModelWorld()
    await world.settle()
    world.jobs.start(JOB_NAME)
    world.jobs.finish(JOB_NAME, inspected())
    await world.settle()
    world.cluster.remove(JOB, SYSTEM, JOB_NAME)
    await world.settle()
    assert world.jobs.names() == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(None, "SecretNotFound"), ({}, "SecretNotAllowed"), ({"tunewright.dev/use": "allowed"}, "Inspecting")],
)
async def test_the_secret_must_exist_and_be_allowed(labels: dict[str, str] | None, reason: str):
    world = BaseModelWorld(storage={"secretRef": {"name": "s3"}})
    if labels is not None:
        world.cluster.put(
            {"apiVersion": "v1", "kind": SECRET.name, "metadata": {"name": "s3", "namespace": SYSTEM, "labels": labels}}
        )
    await world.settle()
    assert world.condition("Ready")["reason"] == reason
    stalled = world.condition("Stalled")
    assert stalled is None or "Secret 's3'" in stalled["message"]
    assert stalled is None or SYSTEM in stalled["message"], "the message names the namespace"
    assert world.jobs.names() == ([JOB_NAME] if reason == "Inspecting" else [])


async def test_a_failed_inspection_is_shown_and_retried_automatically():
    world = BaseModelWorld()
    await world.settle()
    world.jobs.start(JOB_NAME)
    world.jobs.finish(JOB_NAME, failed("NoSuchBucket", "bucket models does not exist"), exit_code=1)
    wait = await world.settle()
    assert world.condition("Stalled")["reason"] == "NoSuchBucket"
    assert world.condition("Ready")["message"] == "bucket models does not exist."
    world.clock.advance(wait)
    await world.settle()
    assert world.condition("Stalled")["reason"] == "NoSuchBucket", "kept until another result replaces it"
    world.jobs.start(JOB_NAME)
    world.jobs.finish(JOB_NAME, inspected())
    await world.settle()
    assert world.condition("Stalled") is None
    assert world.condition("Ready")["status"] == "True"
    assert [event[2] for event in world.cluster.events] == ["Inspecting", "NoSuchBucket", "Inspected"]


async def test_a_transient_failure_does_not_stall():
    world = BaseModelWorld()
    await world.settle()
    world.jobs.start(JOB_NAME)
    world.jobs.finish(JOB_NAME, failed("StorageUnreachable", "no answer", retryable=True), exit_code=1)
    assert await world.settle() == 30
    assert world.condition("Stalled") is None
    assert world.condition("Reconciling")["reason"] == "InspectionRetrying"


async def test_an_ambiguous_uri_is_not_inspected():
    world = BaseModelWorld(source={"s3": {"uri": "s3://bucket/../x"}})
    await world.settle()
    assert world.condition("Stalled")["reason"] == "InvalidURI"
    assert world.jobs.names() == []


async def test_a_model_in_use_is_not_deleted():
    world = BaseModelWorld()
    await world.settle()
    spec = {
        "baseModelRef": {"name": "smol"},
        "storage": {"secretRef": {"name": "s3"}},
        "output": {"uri": "s3://bucket/out"},
    }
    spec["dataset"] = {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/data"}}]}
    job = {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": "t", "namespace": "a"},
        "spec": spec,
    }
    world.cluster.put(job)
    await world.cluster.delete(BASE_MODEL, None, "smol")
    await world.settle()
    assert world.condition("Ready")["reason"] == "InUse"
    assert "FineTuneJob a/t" in world.condition("Ready")["message"]

    ended = {"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": world.clock.text}
    world.cluster.put({**job, "status": {"conditions": [ended], "observedGeneration": 1}})
    await world.settle()
    with pytest.raises(KeyError):
        _ = world.body


async def test_an_operator_killed_after_any_write_reaches_the_same_result():
    async def live(world: BaseModelWorld) -> None:
        await world.settle()
        world.jobs.start(JOB_NAME)
        world.jobs.finish(JOB_NAME, failed("StorageUnreachable", "no answer", retryable=True), exit_code=1)
        world.clock.advance(await world.settle())
        await world.settle()
        world.jobs.start(JOB_NAME)
        world.jobs.finish(JOB_NAME, inspected())
        await world.settle()

    undisturbed = BaseModelWorld()
    await live(undisturbed)
    writes = len(undisturbed.cluster.writes)
    assert writes >= 8
    for point in range(1, writes + 1):
        world = BaseModelWorld()
        world.cluster.crash_after = point
        await live(world)
        assert world.cluster.crash_after is None
        assert world.body["status"] == undisturbed.body["status"]


async def test_an_operator_killed_after_any_write_of_a_deletion_leaves_nothing():
    async def die_once(point: int | None) -> int:
        world = BaseModelWorld()
        await world.settle()
        world.jobs.start(JOB_NAME)
        world.jobs.finish(JOB_NAME, inspected())
        await world.settle()
        before = len(world.cluster.writes)
        await world.cluster.delete(BASE_MODEL, None, "smol")
        world.cluster.crash_after = point
        await world.settle()
        assert world.cluster.crash_after is None
        assert world.cluster.bodies(BASE_MODEL) == []
        return len(world.cluster.writes) - before

    writes = await die_once(None)
    assert writes >= 2, "the deletion, and the removal of the finalizer"
    for point in range(1, writes):
        await die_once(point)
