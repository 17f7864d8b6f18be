"""Document keys and digests in the life of jobs and rollouts: those that a release began, and those that it found."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.worlds.job_worlds import ADAPTER, DATASET, NAMESPACE, PREPARE, TRAIN_1, TRAIN_2, World, published
from support.worlds.rollout_world import digest_of, revision_of
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.run_spec import RunSpec
from tunewright_operator.api.kinds import JOB, SECRET

MANIFEST, HELD_OUT = "sha256:" + "c" * 64, "sha256:" + "d" * 64


def key_names(cluster: FakeCluster) -> list[str]:
    names = (body["metadata"]["name"] for body in cluster.bodies(SECRET))
    return [name for name in names if "-document-key-" in name]


def forget_key(cluster: FakeCluster, namespace: str, job: str) -> None:
    """Change a Job to one of a release without keys: its pod mounts none, and there is no Secret."""

    def change(body: dict[str, Any]) -> None:
        pod = body["spec"]["template"]["spec"]
        pod["volumes"] = [item for item in pod["volumes"] if item["name"] != "document-key"]
        for container in pod["containers"]:
            container["volumeMounts"] = [item for item in container["volumeMounts"] if item["name"] != "document-key"]

    cluster.edit(JOB, namespace, job, change)
    delete_key(cluster, namespace)


def delete_key(cluster: FakeCluster, namespace: str) -> None:
    (name,) = key_names(cluster)
    cluster.remove(SECRET, namespace, name)


async def test_digests_go_from_prepare_through_the_status_to_training_and_the_adapter() -> None:
    world = World()
    await world.settle()
    world.jobs.start(PREPARE)
    dataset = DATASET.updated(manifest_digest=MANIFEST, evaluation_digest=HELD_OUT)
    world.jobs.finish(PREPARE, PhaseResult(outcome=Outcome.SUCCEEDED, reason="Prepared", message="", dataset=dataset))
    await world.settle()
    assert (world.status["dataset"]["manifestDigest"], world.status["dataset"]["evaluationDigest"]) == (
        MANIFEST,
        HELD_OUT,
    )
    spec = RunSpec.from_json(world.jobs.request(TRAIN_1))
    assert (spec.dataset_digest, spec.dataset_manifest_digest) == (DATASET.digest, MANIFEST)
    await world.train()
    adapter = ADAPTER.updated(evaluation_dataset_digest=HELD_OUT)
    world.jobs.finish(TRAIN_1, published().updated(adapter=adapter))
    await world.settle()
    assert world.status["adapter"]["evaluationDatasetDigest"] == HELD_OUT


async def test_a_training_of_an_earlier_release_succeeds() -> None:
    """Its pod has no key and reports no digests."""
    world = World()
    await world.prepare()
    forget_key(world.cluster, NAMESPACE, TRAIN_1)
    world.restart_operator()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    await world.settle()
    assert world.status["phase"] == "Succeeded"
    assert "evaluationDatasetDigest" not in world.status["adapter"]
    assert key_names(world.cluster) == [], "nothing needs a key"


async def test_the_next_attempt_of_a_training_of_an_earlier_release_has_a_key() -> None:
    """It verifies the records, whose digest the earlier release recorded, but not the manifest."""
    world = World()
    await world.prepare()
    forget_key(world.cluster, NAMESPACE, TRAIN_1)
    world.restart_operator()
    await world.train()
    world.jobs.die(TRAIN_1, exit_code=1)
    await world.pass_time(await world.settle())
    await world.train(2)
    spec = RunSpec.from_json(world.jobs.request(TRAIN_2))
    assert (spec.dataset_digest, spec.dataset_manifest_digest) == (DATASET.digest, None)
    assert len(key_names(world.cluster)) == 1
    world.jobs.finish(TRAIN_2, published())
    await world.settle()
    assert world.status["phase"] == "Succeeded"


async def test_an_evaluation_of_an_earlier_release_ends() -> None:
    """Its pod has no key, and the candidate has no digest of the held-out records."""
    world = ServingWorld()
    world.put_deployment()
    world.put_job("first")
    await world.settle()
    forget_key(world.cluster, SUPPORT, world.evaluation_job()["metadata"]["name"])
    world.restart_operator()
    await world.pass_time(60)
    assert world.evaluation_request().dataset_digest is None
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    await world.pass_windows()
    assert world.status()["stable"]["revision"] == revision_of("first")


@pytest.mark.parametrize("killed", [False, True])
async def test_a_train_pod_that_waits_for_a_deleted_key_gets_another_one(killed: bool) -> None:
    world = World()
    await world.prepare()
    delete_key(world.cluster, NAMESPACE)
    wait_for_volumes(world, TRAIN_1)
    await world.pass_time(29)
    assert key_names(world.cluster) == [], "most pods start in time"
    world.cluster.crash_after = 1 if killed else None
    await world.pass_time(1)
    assert len(key_names(world.cluster)) == 1
    before = len(world.cluster.writes)
    await world.pass_time(300)
    assert [address for _, address in world.cluster.writes[before:] if address[0] == "Secret"] == []
    assert world.jobs.names() == [PREPARE, TRAIN_1]


@pytest.mark.parametrize("killed", [False, True])
async def test_an_evaluation_pod_that_waits_for_a_deleted_key_gets_another_one(killed: bool) -> None:
    world = ServingWorld()
    world.put_deployment()
    world.put_job("first", evaluationDatasetDigest=digest_of("held-out"))
    await world.settle()
    delete_key(world.cluster, SUPPORT)
    wait_for_volumes(world, world.evaluation_job()["metadata"]["name"])
    world.cluster.crash_after = 1 if killed else None
    await world.pass_time(60)
    assert len(key_names(world.cluster)) == 1
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.status()["candidate"]["step"] > 0, "the steps after the evaluation"


def wait_for_volumes(world: World | ServingWorld, job: str) -> None:
    """Let the kubelet report that a pod waits for what it mounts."""
    containers = world.cluster.peek(JOB, world.jobs.namespace, job)["spec"]["template"]["spec"]["containers"]
    state = {"waiting": {"reason": "ContainerCreating"}}
    statuses = [{"name": container["name"], "state": state} for container in containers]
    world.jobs.create_pod(job, {"phase": "Pending", "containerStatuses": statuses})
