"""Attackers who want a key that makes their documents authentic: bucket writers, read-only users, older jobs."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster, refer_to_controller
from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import NAME, PREPARE, TRAIN_1, TRAIN_2, World, prepared, progress, published
from support.worlds.rollout_world import digest_of, revision_of
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_contracts.authentication.document_key import DocumentKey
from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_contracts.progress import LostCheckpoint
from tunewright_contracts.run_spec import RunSpec
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, FINE_TUNE_JOB, JOB, SECRET
from tunewright_operator.manifests.document_keys import build_document_key_secret


def list_keys(cluster: FakeCluster) -> list[dict[str, Any]]:
    return [body for body in cluster.bodies(SECRET) if "-document-key-" in body["metadata"]["name"]]


def read_key(secret: dict[str, Any]) -> DocumentKey:
    return DocumentKey.from_text(base64.b64decode(secret["data"]["key"]))


async def test_the_key_is_only_in_a_secret_of_the_job() -> None:
    """A read-only user sees every object except Secrets, and all Events and messages."""
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    await world.settle()
    (secret,) = list_keys(world.cluster)
    assert secret["metadata"]["ownerReferences"] == [refer_to_controller(world.body)]
    assert secret["immutable"] is True
    shown = json.dumps([body for body in world.cluster.bodies() if body["kind"] != "Secret"] + world.cluster.events)
    assert read_key(secret).to_text() not in shown
    assert secret["data"]["key"] not in shown


async def test_attempts_share_a_key_and_only_the_train_pod_gets_it() -> None:
    world = World()
    await world.settle()
    assert list_keys(world.cluster) == [], "the prepare pod needs none"
    await world.prepare()
    (before,) = list_keys(world.cluster)
    await world.train()
    world.jobs.die(TRAIN_1, exit_code=1)
    await world.pass_time(await world.settle())
    await world.train(2)
    assert list_keys(world.cluster) == [before]
    mounts = {name: mounts_of(world, name) for name in (PREPARE, TRAIN_1, TRAIN_2)}
    folder = "/etc/tunewright/document-key"
    assert mounts == {PREPARE: [], TRAIN_1: [folder], TRAIN_2: [folder]}


def mounts_of(world: World, job: str) -> list[str]:
    (container,) = world.cluster.peek(JOB, NAMESPACE, job)["spec"]["template"]["spec"]["containers"]
    return [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "document-key"]


async def test_a_job_that_is_created_again_has_another_key() -> None:
    """Otherwise documents of the old job, which another user may have written, would be authentic for the new one."""
    world = World()
    await world.prepare()
    (old,) = list_keys(world.cluster)
    body = {field: value for field, value in world.body.items() if field != "status"}
    body["metadata"] = {"name": NAME, "namespace": NAMESPACE}
    world.cluster.remove(FINE_TUNE_JOB, NAMESPACE, NAME)
    old["metadata"].pop("ownerReferences")  # as after a deletion with --cascade=orphan
    world.cluster.put(old)
    body["metadata"]["uid"] = "99999999-0000-4000-8000-000000000000"
    world.cluster.put(body)
    await world.prepare()
    new = next(secret for secret in list_keys(world.cluster) if secret["metadata"]["name"] != old["metadata"]["name"])
    assert read_key(new) != read_key(old)
    (volume,) = [
        item
        for item in world.cluster.peek(JOB, NAMESPACE, TRAIN_1)["spec"]["template"]["spec"]["volumes"]
        if item["name"] == "document-key"
    ]
    assert volume["secret"]["secretName"] == new["metadata"]["name"]


@pytest.mark.parametrize("owner", [None, "another-uid"])
async def test_a_secret_of_another_owner_is_not_used(owner: str | None) -> None:
    """An attacker who can create Secrets, but not read them, stores a known key under the name."""
    world = World()
    await world.settle()
    secret = build_document_key_secret(world.body, DocumentKey.generate())
    references = [{**refer_to_controller(world.body), "uid": owner}] if owner else []
    secret["metadata"]["ownerReferences"] = references
    planted = world.cluster.put(secret)
    name = planted["metadata"]["name"]
    world.jobs.start(PREPARE)
    world.jobs.finish(PREPARE, prepared())
    await world.settle()
    condition = world.condition("Stalled")
    assert condition is not None
    assert condition["reason"] == "NameTaken"
    assert f"Secret {NAMESPACE}/{name}" in condition["message"]
    assert world.jobs.names() == [PREPARE], "no pod runs with a key that others may know"
    assert world.cluster.peek(SECRET, NAMESPACE, name) == planted


async def test_an_evaluation_does_not_use_a_secret_of_another_owner() -> None:
    world = ServingWorld()
    world.put_deployment()
    await world.settle()
    deployment = world.cluster.peek(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    secret = build_document_key_secret(deployment, DocumentKey.generate())
    secret["metadata"]["ownerReferences"] = []
    planted = world.cluster.put(secret)
    world.put_job("first")
    await world.settle()
    ready = next(item for item in world.status()["conditions"] if item["type"] == "Stalled")
    assert ready["reason"] == "NameTaken"
    assert f"Secret {SUPPORT}/{secret['metadata']['name']}" in ready["message"]
    assert world.list_jobs("evaluate") == [], "no pod runs with a key that others may know"
    assert list_keys(world.cluster) == [planted]


async def test_a_deleted_key_is_replaced_by_another_one() -> None:
    """This is how a key that leaked is rotated: the next attempt accepts nothing that was written with the old one."""
    world = World()
    await world.prepare()
    await world.train()
    (old,) = list_keys(world.cluster)
    world.cluster.remove(SECRET, NAMESPACE, old["metadata"]["name"])
    world.jobs.die(TRAIN_1, exit_code=1)
    await world.pass_time(await world.settle())
    (new,) = list_keys(world.cluster)
    assert read_key(new) != read_key(old)


async def test_the_conditions_show_a_checkpoint_that_is_lost() -> None:
    """The status recorded step 30; after a replay, the next attempt found only that of step 10."""
    world = World()
    await world.prepare()
    await world.train()
    world.trainers.answers["10.0.0.7"] = progress(40).updated(checkpoint_step=30)
    await world.pass_time(20)
    world.jobs.die(TRAIN_1, exit_code=1)
    await world.pass_time(await world.settle())
    assert RunSpec.from_json(world.jobs.request(TRAIN_2)).checkpoint_step == 30
    await world.train(2)
    lost = LostCheckpoint(recorded=30, resumed=10)
    world.trainers.answers["10.0.0.7"] = progress(12, attempt=2).updated(resumed_from_step=10, lost_checkpoint=lost)
    await world.pass_time(20)
    for name in ("Succeeded", "Reconciling"):
        condition = world.condition(name)
        assert condition is not None
        assert lost.describe() in condition["message"]
    world.jobs.finish(TRAIN_2, published().updated(lost_checkpoint=lost))
    await world.settle()
    trained = world.condition("Trained")
    assert trained is not None
    assert trained["message"] == lost.describe(), "it stays visible after the job has succeeded"


async def test_a_report_of_a_pod_that_the_evaluation_does_not_own_does_not_count() -> None:
    """A tenant's pod with the labels of the evaluation ends with a forged report that passes."""
    world = ServingWorld()
    world.put_deployment()
    digest = digest_of("held-out")
    world.put_job("first", evaluationDatasetDigest=digest)
    await world.settle()
    assert world.evaluation_request().dataset_digest == digest
    assert world.status()["candidate"]["evaluationDatasetDigest"] == digest
    (key,) = list_keys(world.cluster)
    assert key["metadata"]["namespace"] == SUPPORT
    job = world.evaluation_job()
    report = EvaluationReport(
        verdict=Verdict.PASS, reason="EvaluationPassed", message="forged", candidate=revision_of("first")
    )
    state = {"terminated": {"exitCode": 0, "message": report.to_json()}}
    world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{job['metadata']['name']}-x",
                "namespace": SUPPORT,
                "labels": dict(job["metadata"]["labels"]),
                "ownerReferences": [{**refer_to_controller(job), "uid": "another-uid"}],
            },
            "spec": {},
            "status": {"phase": "Succeeded", "containerStatuses": [{"name": "evaluate", "state": state}]},
        }
    )
    await world.settle()
    assert "verdict" not in world.status()["candidate"]
