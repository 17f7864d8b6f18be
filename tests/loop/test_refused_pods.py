"""Jobs whose pods the API server refuses: each loop reports the refusal within a minute, and continues after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import PREPARE, TRAIN_1, BaseModelWorld, World, inspected, prepared
from support.worlds.serving_world import ServingWorld, condition
from tunewright_operator.api.kinds import EVENT, FINE_TUNE_JOB, Kind
from tunewright_operator.cluster import Bodies
from tunewright_operator.runtime.key import Key
from tunewright_operator.store.reads import REFUSAL_SECONDS

MINUTE = 60.0
QUOTA = 'pods "p-x7x2k" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4'
LIMIT_RANGE = 'pods "p-9hq4d" is forbidden: maximum memory usage per Container is 1Gi, but limit is 8Gi'
POLICY = 'admission webhook "policy.example.com" denied the request: images must come from registry.example.com'
REFUSALS = pytest.mark.parametrize("refusal", [QUOTA, LIMIT_RANGE, POLICY], ids=["quota", "limit range", "policy"])


JOBS = 200


class Crowd(World):
    """Many FineTuneJobs of one namespace, each of which is reconciled every 30 s, and the lists that this costs."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = [Key(FINE_TUNE_JOB, NAMESPACE, f"job-{number}") for number in range(JOBS)]
        first = self.cluster.peek(FINE_TUNE_JOB, NAMESPACE, "tickets")
        for key in self.keys:
            self.cluster.put({**first, "metadata": {"name": key.name, "namespace": NAMESPACE}})
        self.listed: list[tuple[Kind, str | None, Mapping[str, str] | None]] = []
        answer = self.cluster.list

        async def count(kind: Kind, namespace: str | None = None, labels: Any = None, fields: Any = None) -> Bodies:
            self.listed.append((kind, namespace, fields))
            return await answer(kind, namespace, labels, fields)

        self.cluster.list = count  # type: ignore[method-assign]

    async def reconcile_all(self) -> None:
        """Reconcile every job once in the course of 30 s."""
        for key in self.keys:
            self.clock.advance(MINUTE / 2 / JOBS)
            await self.reconciler.reconcile(key)

    def reasons(self) -> set[str]:
        bodies = [self.cluster.peek(FINE_TUNE_JOB, NAMESPACE, key.name) for key in self.keys]
        return {condition(body["status"], "Reconciling")["reason"] for body in bodies}


async def test_one_list_of_a_namespaces_events_serves_all_jobs_that_a_quota_stops():
    world = Crowd()
    await world.reconcile_all()
    for key in world.keys:
        world.jobs.refuse_pod(f"{key.name}-prepare-1", QUOTA)
    assert world.listed == []
    minutes = 1
    for _ in range(2 * minutes):
        await world.reconcile_all()
    assert world.reasons() == {"PodRefused"}
    assert set(map(str, world.listed)) == {
        str((EVENT, NAMESPACE, {"involvedObject.kind": "Job", "reason": "FailedCreate"}))
    }
    assert len(world.listed) <= 1 + minutes * MINUTE / REFUSAL_SECONDS
    for key in world.keys:
        world.jobs.create_pod(f"{key.name}-prepare-1")
    world.listed.clear()
    await world.reconcile_all()
    assert world.reasons() == {"Preparing"}
    assert world.listed == []


@REFUSALS
async def test_the_refusal_of_a_prepare_pod_is_reported(refusal: str):
    world = World()
    wait = await world.settle()
    assert wait is not None
    assert wait <= MINUTE
    world.jobs.refuse_pod(PREPARE, refusal)
    await world.pass_time(wait)
    assert world.condition("Reconciling")["reason"] == "PodRefused"
    assert refusal in world.condition("Succeeded")["message"]
    world.jobs.start(PREPARE)
    await world.settle()
    assert world.condition("Reconciling")["reason"] == "Preparing"
    world.jobs.finish(PREPARE, prepared())
    await world.settle()
    assert world.jobs.names() == [PREPARE, TRAIN_1]


@REFUSALS
async def test_the_refusal_of_a_train_pod_is_reported(refusal: str):
    world = World()
    await world.prepare()
    world.jobs.refuse_pod(TRAIN_1, refusal)
    await world.pass_time(MINUTE / 2)
    assert world.condition("Reconciling")["reason"] == "PodRefused"
    assert refusal in world.condition("Reconciling")["message"]
    await world.train()
    assert world.status["phase"] == "Training"


@REFUSALS
async def test_the_refusal_of_a_pod_that_inspects_a_base_model_is_reported(refusal: str):
    world = BaseModelWorld()
    wait = await world.settle()
    assert wait is not None
    assert wait <= MINUTE
    job = "base-model-smol-inspect"
    world.jobs.refuse_pod(job, refusal)
    world.clock.advance(wait)
    await world.settle()
    assert world.condition("Ready")["reason"] == "PodRefused"
    assert refusal in world.condition("Ready")["message"]
    world.jobs.start(job)
    world.jobs.finish(job, inspected())
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


@REFUSALS
async def test_the_refusal_of_an_evaluation_pod_is_reported(world: ServingWorld, refusal: str):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    world.jobs.refuse_pod(name, refusal)
    await world.pass_time(MINUTE / 2)
    progressing = condition(world.status(), "Progressing")
    assert progressing["reason"] == "PodRefused"
    assert refusal in progressing["message"]
    world.jobs.start(name)
    await world.settle()
    assert condition(world.status(), "Progressing")["reason"] == "Evaluating"


@REFUSALS
async def test_the_refusal_of_a_pod_that_inspects_an_adapter_is_reported(refusal: str):
    world = ServingWorld()
    world.put_deployment(adapter={"uri": "s3://models/adapters/support/one"})
    await world.settle()
    (name,) = world.jobs.names()
    world.jobs.refuse_pod(name, refusal)
    await world.pass_time(MINUTE / 2)
    progressing = condition(world.status(), "Progressing")
    assert progressing["reason"] == "PodRefused"
    assert refusal in progressing["message"]


async def test_an_event_about_a_deleted_job_of_the_same_name_is_not_read():
    world = World()
    await world.settle()
    world.jobs.refuse_pod(PREPARE, QUOTA)
    (event,) = world.cluster.bodies(EVENT)
    event["involvedObject"]["uid"] = "another"
    world.cluster.put(event)
    await world.pass_time(MINUTE / 2)
    assert world.condition("Reconciling")["reason"] == "PodPending"
    assert QUOTA not in world.condition("Reconciling")["message"]
    assert f"kubectl describe job {PREPARE}" in world.condition("Reconciling")["message"]


async def test_memory_that_a_limit_range_took_is_reported_while_the_pod_runs_and_when_it_is_killed():
    world = World()
    await world.prepare()
    world.jobs.start(TRAIN_1)
    world.jobs.give_resources(TRAIN_1, {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}})
    await world.settle()
    changed = "limits.memory is 1Gi instead of 8Gi"
    assert changed in world.condition("Reconciling")["message"]
    message = world.condition("Reconciling")["message"]
    await world.pass_time(30)
    assert world.condition("Reconciling")["message"] == message, "it is added once"
    world.jobs.die(TRAIN_1, exit_code=137, reason="OOMKilled")
    await world.settle()
    assert world.condition("Succeeded")["reason"] == "Retrying"
    assert changed in world.condition("Succeeded")["message"]
