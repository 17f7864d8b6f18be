"""Problems of a FineTuneJob, its namespace or its data are reported before a GPU is allocated."""

from __future__ import annotations

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import KEY, PREPARE, World, failed
from tunewright_operator.api.kinds import CONFIG_MAP, JOB, SECRET
from tunewright_operator.cluster import ForbiddenError


class TestProblems:
    """Problems that are found before any Job is created."""

    async def check(self, world: World, reason: str, *words: str) -> None:
        await world.settle()
        assert world.jobs.names() == []
        assert world.condition("Succeeded")["status"] == "Unknown"
        assert world.condition("Succeeded")["reason"] == reason
        for word in words:
            assert word in world.condition("Succeeded")["message"]

    async def check_recovers(self, world: World) -> None:
        await world.pass_time(30)
        assert world.jobs.names() == [PREPARE]
        assert world.condition("Stalled") is None

    async def test_unknown_base_model(self):
        world = World(baseModelRef={"name": "nosuch"})
        await self.check(world, "BaseModelNotFound", "'nosuch'", "kubectl get basemodels")
        assert world.condition("Stalled")["status"] == "True"

    async def test_base_model_not_allowed_in_the_namespace(self):
        world = World()
        selector = {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}
        world.put_base_model(allowedNamespaces=selector)
        await self.check(world, "BaseModelNotAllowed", "'support'", "'smol'")
        world.put_base_model(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "a"}}})
        await self.check_recovers(world)

    async def test_a_base_model_that_is_not_inspected_yet_does_not_stall_the_job(self):
        world = World(ready_base_model=False)
        await self.check(world, "BaseModelNotReady")
        assert world.condition("Stalled") is None
        assert world.condition("Reconciling")["status"] == "True"
        world.put_base_model()
        await self.check_recovers(world)

    async def test_secret_missing(self):
        world = World()
        world.cluster.remove(SECRET, NAMESPACE, "s3")
        await self.check(world, "SecretNotFound", "'s3'")
        world.put_secret()
        await self.check_recovers(world)

    async def test_secret_without_the_label(self):
        world = World()
        world.put_secret(allowed=False)
        await self.check(world, "SecretNotAllowed", "kubectl label secret s3 -n support tunewright.dev/use=allowed")
        world.put_secret()
        await self.check_recovers(world)

    async def test_config_map_missing(self):
        source = {"name": "tickets", "configMap": {"name": "records"}}
        world = World(dataset={"sources": [source]})
        await self.check(world, "ConfigMapNotFound", "'records'")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "records", "namespace": NAMESPACE}}
        world.cluster.put(body)
        await self.check_recovers(world)
        pod = world.cluster.peek(JOB, NAMESPACE, PREPARE)["spec"]["template"]["spec"]
        mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert "/etc/tunewright/sources/tickets" in mounts

    async def test_an_ambiguous_uri_fails_permanently(self):
        world = World(output={"uri": "s3://bucket/out/../other"})
        await world.settle()
        assert world.jobs.names() == []
        assert world.status["phase"] == "Failed"
        assert world.condition("Succeeded")["reason"] == "InvalidURI"
        assert "spec.output.uri" in world.condition("Succeeded")["message"]

    @pytest.mark.parametrize("uri", ["s3://bucket/", "s3://bucket/out", "s3://bucket/out/runs/a.jsonl"])
    async def test_a_source_that_overlaps_the_output_fails_before_a_job_is_created(self, uri):
        world = World(dataset={"sources": [{"name": "tickets", "s3": {"uri": uri}}]})
        await world.settle()
        assert world.jobs.names() == []
        assert world.status["phase"] == "Failed"
        assert world.condition("Succeeded")["reason"] == "SourceOverlapsOutput"
        assert uri in world.condition("Succeeded")["message"]

    async def test_an_invalid_schema_of_a_metric_fails_permanently_without_a_gpu(self):
        metrics = [{"type": "ExactMatch"}, {"type": "JSONSchema", "schema": {"properties": {"queue": {"type": 7}}}}]
        world = World(evaluation={"metrics": metrics})
        await world.settle()
        assert world.jobs.names() == []
        failed = world.condition("Succeeded")
        assert failed["reason"] == "InvalidSchema"
        assert (
            "spec.evaluation.metrics[1].schema: it is not a JSON Schema: at .properties.queue.type" in failed["message"]
        )

    async def test_a_refused_job_is_reported_and_retried(self):
        world = World()
        world.cluster.fail_next(ForbiddenError("exceeded quota: jobs"), "create", JOB)
        await world.reconciler.reconcile(KEY)
        assert world.condition("Stalled")["reason"] == "JobRefused"
        assert "exceeded quota: jobs" in world.condition("Succeeded")["message"]
        await self.check_recovers(world)

    async def test_a_config_map_of_another_owner_is_not_used(self):
        world = World()
        metadata = {"name": PREPARE, "namespace": NAMESPACE}
        world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"run.json": "{}"}})
        await self.check(world, "NameTaken", PREPARE)
        world.cluster.remove(CONFIG_MAP, NAMESPACE, PREPARE)
        await self.check_recovers(world)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("DatasetNotFound", "s3://bucket/data/ holds no file"),
        ("InvalidRecords", "tickets.jsonl:7: not JSON"),
        ("TooFewRecords", "3 records are fewer than the splits need"),
        ("AccessDenied", "s3://bucket/data/: access denied"),
        ("NoSuchBucket", "bucket b does not exist"),
        ("UnknownAuthority", "the certificate is signed by an unknown authority"),
    ],
)
async def test_bad_data_ends_the_job_before_training(reason: str, message: str):
    world = World()
    await world.settle()
    world.jobs.start(PREPARE)
    await world.settle()
    world.jobs.finish(PREPARE, failed(reason, message), exit_code=1)
    await world.settle()
    assert world.jobs.names() == [PREPARE]
    assert world.status["phase"] == "Failed"
    for condition in ("Succeeded", "DatasetReady"):
        assert world.condition(condition)["status"] == "False"
        assert world.condition(condition)["reason"] == reason
        assert message in world.condition(condition)["message"]
    assert world.condition("Stalled")["reason"] == reason
