"""The FineTuneJob loop against the fake API server: each paragraph of the design's flow, and each way to break it."""

from __future__ import annotations

import json

import pytest

from loop.fake_jobs import NAMESPACE
from loop.worlds import KEY, NAME, World, failed, prepared, published
from tunewright_contracts.progress import Phase, Progress
from tunewright_contracts.run_spec import Outcome, PhaseResult, RunSpec
from tunewright_operator.api.kinds import CONFIG_MAP, FINE_TUNE_JOB, JOB, SECRET
from tunewright_operator.cluster import ConflictError, ForbiddenError, UnavailableError

PREPARE = f"{NAME}-prepare-1"
TRAIN_1, TRAIN_2 = f"{NAME}-train-1", f"{NAME}-train-2"


def progress(step: int, phase: Phase = Phase.TRAINING, attempt: int = 1) -> Progress:
    return Progress(
        phase=phase, attempt=attempt, step=step, total_steps=100, train_loss=1.25, updated_at="2026-01-01T00:00:00Z"
    )


async def test_from_apply_to_a_published_adapter():
    world = World()

    await world.settle()
    assert world.jobs.names() == [PREPARE]
    assert world.status["phase"] == "Preparing"
    assert world.condition("Reconciling")["reason"] == "Preparing"
    world.jobs.start(PREPARE)
    await world.pass_time(30)
    world.jobs.finish(PREPARE, prepared())
    await world.settle()

    assert world.jobs.names() == [PREPARE, TRAIN_1]
    assert world.condition("DatasetReady")["status"] == "True"
    assert world.status["dataset"]["train"] == 80
    assert RunSpec.from_json(world.jobs.request(TRAIN_1)).dataset_uri == "s3://bucket/out/datasets/x"

    world.trainers.answers["10.0.0.7"] = progress(40)
    await world.train()
    assert world.status["phase"] == "Training"
    assert world.status["progress"] == {"step": 40, "totalSteps": 100, "percent": 40, "trainLoss": "1.25"}
    world.trainers.answers["10.0.0.7"] = progress(100, Phase.EVALUATING)
    await world.pass_time(60)
    assert world.status["phase"] == "Evaluating"
    assert world.condition("Trained")["status"] == "True"
    world.jobs.finish(TRAIN_1, published())
    await world.settle()

    assert world.status["phase"] == "Succeeded"
    assert world.condition("Succeeded")["status"] == "True"
    assert {item["type"]: item["status"] for item in world.status["conditions"]} == {
        "Succeeded": "True",
        "DatasetReady": "True",
        "Trained": "True",
        "Evaluated": "True",
        "Published": "True",
    }
    assert world.status["adapter"]["digest"] == "sha256:" + "b" * 64
    assert world.status["evaluation"] == [{"type": "ExactMatch", "base": "0.1", "tuned": "0.875", "samples": 15}]
    assert world.status["activeSeconds"] == 90
    assert world.status["completionTime"] == world.clock.text
    assert [event[2] for event in world.cluster.events] == [
        "Preparing", "Prepared", "Starting", "Training", "Evaluating", "Succeeded",
    ]  # fmt: skip


async def test_a_run_spec_carries_the_resolved_base_model_and_training():
    world = World(training={"learningRate": "2e-4", "maxSequenceLength": "Auto", "lora": {"rank": 8, "alpha": 8}})
    await world.prepare()
    spec = RunSpec.from_json(world.jobs.request(TRAIN_1))
    assert spec.base_model.digest == "sha256:" + "a" * 64
    assert spec.training.learning_rate == "0.0002"
    assert spec.training.max_sequence_length == 0
    assert spec.training.lora.target_modules[0] == "q_proj"
    assert spec.run_uri.startswith(f"s3://bucket/out/runs/{NAMESPACE}/{NAME}-")
    assert spec.attempt == 1


async def test_no_accelerator_is_asked_for_before_the_data_is_good():
    world = World(scheduling={"nodeSelector": {"gpu": "yes"}, "runtimeClassName": "nvidia"})
    await world.settle()
    pod = world.cluster.peek(JOB, NAMESPACE, PREPARE)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"limits": {"memory": "8Gi"}}
    assert "nodeSelector" not in pod
    assert "runtimeClassName" not in pod


class TestProblems:
    """Section by section: what is wrong with the world before any Job exists."""

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

    async def test_base_model_not_inspected_yet_is_nobodys_fault(self):
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

    async def test_an_ambiguous_address_fails_for_good(self):
        world = World(output={"uri": "s3://bucket/out/../other"})
        await world.settle()
        assert world.jobs.names() == []
        assert world.status["phase"] == "Failed"
        assert world.condition("Succeeded")["reason"] == "InvalidURI"
        assert "spec.output.uri" in world.condition("Succeeded")["message"]

    async def test_a_metrics_schema_that_is_none_fails_for_good_and_holds_no_gpu(self):
        metrics = [{"type": "ExactMatch"}, {"type": "JSONSchema", "schema": {"properties": {"queue": {"type": 7}}}}]
        world = World(evaluation={"metrics": metrics})
        await world.settle()
        assert world.jobs.names() == []
        failed = world.condition("Succeeded")
        assert failed["reason"] == "InvalidSchema"
        assert (
            "spec.evaluation.metrics[1].schema: it is not a JSON Schema: at .properties.queue.type" in failed["message"]
        )

    async def test_a_refused_job_says_so_and_is_tried_again(self):
        world = World()
        world.cluster.fail_next(ForbiddenError("exceeded quota: jobs"), "create", JOB)
        await world.reconciler.reconcile(KEY)
        assert world.condition("Stalled")["reason"] == "JobRefused"
        assert "exceeded quota: jobs" in world.condition("Succeeded")["message"]
        await self.check_recovers(world)

    async def test_a_config_map_of_somebody_else_is_not_used(self):
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


async def test_storage_away_for_two_minutes_is_outlasted():
    world = World()
    await world.settle()
    away_until = world.clock().timestamp() + 120
    for number in range(1, 6):
        name = f"{NAME}-prepare-{number}"
        if name not in world.jobs.names():
            break
        world.jobs.start(name)
        await world.pass_time(5)
        if world.clock().timestamp() > away_until:
            world.jobs.finish(name, prepared())
            await world.settle()
            break
        world.jobs.finish(name, failed("StorageUnreachable", "no answer", retryable=True), exit_code=1)
        wait = await world.settle()
        assert world.condition("Reconciling")["reason"] == "Retrying"
        await world.pass_time(wait)
    assert world.jobs.names()[-1] == TRAIN_1


class TestKilledTrainers:
    async def test_a_lost_pod_is_resumed_after_a_pause(self):
        world = World()
        await world.prepare()
        await world.train()
        world.jobs.lose_pod(TRAIN_1)
        wait = await world.settle()
        assert wait == 20
        assert world.condition("Reconciling")["reason"] == "Retrying"
        assert world.jobs.names() == [PREPARE, TRAIN_1]
        await world.pass_time(20)
        assert world.jobs.names() == [PREPARE, TRAIN_1, TRAIN_2]
        assert world.status["attempt"] == 2
        assert world.status["restarts"] == 1
        assert RunSpec.from_json(world.jobs.request(TRAIN_2)).attempt == 2

    async def test_last_words_and_exit_code_are_told(self):
        world = World(retry={"maxRestarts": 0})
        await world.prepare()
        await world.train()
        log = "x" * 5000 + "\nRuntimeError: device lost"
        world.jobs.die(TRAIN_1, exit_code=139, message=log)
        await world.settle()
        message = world.condition("Succeeded")["message"]
        assert world.condition("Succeeded")["reason"] == "PodKilled"
        assert world.condition("Stalled")["reason"] == "RestartsExhausted"
        assert "exit code 139 (SIGSEGV)" in message
        assert "RuntimeError: device lost" in message
        assert len(message.split("last words: ")[1].split(" spec.retry")[0].encode()) <= 1024

    async def test_out_of_memory_halves_the_micro_batch(self):
        world = World(training={"batchSize": 8})
        await world.prepare()
        await world.train()
        world.jobs.die(TRAIN_1, exit_code=137, reason="OOMKilled")
        wait = await world.settle()
        assert "OutOfMemory" in world.condition("Succeeded")["message"]
        await world.pass_time(wait)
        assert RunSpec.from_json(world.jobs.request(TRAIN_2)).training.micro_batch_size == 4
        assert RunSpec.from_json(world.jobs.request(TRAIN_2)).training.batch_size == 8
        await world.train(2)
        world.jobs.finish(TRAIN_2, failed("OutOfMemory", "CUDA out of memory.", retryable=True), exit_code=1)
        await world.pass_time(await world.settle())
        assert RunSpec.from_json(world.jobs.request(f"{NAME}-train-3")).training.micro_batch_size == 2
        assert world.status["microBatchSize"] == 2

    async def test_out_of_memory_fails_when_asked_to(self):
        world = World(retry={"outOfMemory": "Fail"})
        await world.prepare()
        await world.train()
        world.jobs.die(TRAIN_1, exit_code=137, reason="OOMKilled")
        await world.settle()
        assert world.status["phase"] == "Failed"
        assert world.condition("Stalled")["reason"] == "OutOfMemory"
        assert "exit code 137 (SIGKILL)" in world.condition("Succeeded")["message"]

    async def test_preemption_is_resumed_at_once_and_counts_nothing(self):
        world = World(retry={"maxRestarts": 0})
        await world.prepare()
        await world.train()
        world.jobs.die(TRAIN_1, exit_code=143, disrupted=True)
        await world.settle()
        assert world.jobs.names()[-1] == TRAIN_2
        assert world.status["restarts"] == 0

    async def test_a_result_whose_pod_is_gone_is_got_by_running_again(self):
        world = World()
        await world.prepare()
        await world.train()
        world.jobs.finish(TRAIN_1, published())
        world.jobs.lose_pod(TRAIN_1)
        await world.pass_time(await world.settle())
        assert world.jobs.names()[-1] == TRAIN_2

    async def test_restarts_run_out_and_raising_the_limit_continues(self):
        world = World(retry={"maxRestarts": 1})
        await world.prepare()
        for attempt in (1, 2):
            await world.train(attempt)
            world.jobs.die(f"{NAME}-train-{attempt}", exit_code=1, message="disk on fire")
            wait = await world.settle()
            if attempt == 1:
                await world.pass_time(wait)
        assert world.status["phase"] == "Failed"
        assert "disk on fire" in world.condition("Succeeded")["message"]
        assert "maxRestarts (1)" in world.condition("Succeeded")["message"]

        world.edit_spec(retry={"maxRestarts": 2})
        await world.settle()
        assert world.jobs.names()[-1] == f"{NAME}-train-3"
        assert world.status["restarts"] == 2
        assert "completionTime" not in world.status
        assert world.condition("Stalled") is None

    async def test_below_the_minimum_keeps_the_scores(self):
        world = World()
        await world.prepare()
        await world.train()
        scores = published().scores
        result = PhaseResult(
            outcome=Outcome.FAILED, reason="BelowMinimum", message="ExactMatch 0.875 < 0.9", scores=scores
        )
        world.jobs.finish(TRAIN_1, result, exit_code=1)
        await world.settle()
        assert world.condition("Succeeded")["reason"] == "BelowMinimum"
        assert world.condition("Trained")["status"] == "True"
        assert world.condition("Evaluated")["status"] == "False"
        assert world.condition("Published")["status"] == "Unknown"
        assert world.status["evaluation"][0]["tuned"] == "0.875"
        assert "adapter" not in world.status


class TestSuspension:
    async def test_suspend_stops_the_pod_and_resume_is_the_next_attempt(self):
        world = World()
        await world.prepare()
        await world.train()
        world.clock.advance(100)
        world.edit_spec(suspend=True)
        await world.settle()
        assert world.jobs.names() == [PREPARE]
        assert world.status["phase"] == "Suspended"
        assert world.condition("Reconciling") is None
        assert world.condition("Stalled") is None
        assert world.status["activeSeconds"] == 110

        world.clock.advance(100_000)
        world.edit_spec(suspend=False)
        await world.settle()
        assert world.jobs.names() == [PREPARE, TRAIN_2]
        assert world.status["restarts"] == 0
        assert world.status["activeSeconds"] == 110

    async def test_suspended_before_it_began(self):
        world = World(suspend=True)
        await world.settle()
        assert world.jobs.names() == []
        assert world.status["phase"] == "Suspended"
        world.edit_spec(suspend=False)
        await world.settle()
        assert world.jobs.names() == [PREPARE]

    async def test_suspended_while_preparing(self):
        world = World()
        await world.settle()
        world.jobs.start(PREPARE)
        world.edit_spec(suspend=True)
        await world.settle()
        assert world.jobs.names() == []
        world.edit_spec(suspend=False)
        await world.settle()
        assert world.jobs.names() == [PREPARE]

    async def test_resume_waits_for_the_old_pod(self):
        world = World()
        await world.prepare()
        await world.train()

        def hold(job):
            job["metadata"]["finalizers"] = ["foregroundDeletion"]

        world.cluster.edit(JOB, NAMESPACE, TRAIN_1, hold)
        world.edit_spec(suspend=True)
        await world.settle()
        world.edit_spec(suspend=False)
        await world.settle()
        assert TRAIN_2 not in world.jobs.names()
        world.cluster.remove(JOB, NAMESPACE, TRAIN_1)
        await world.settle()
        assert TRAIN_2 in world.jobs.names()

    async def test_a_job_that_finished_meanwhile_has_succeeded(self):
        world = World()
        await world.prepare()
        await world.train()
        world.jobs.finish(TRAIN_1, published())
        world.edit_spec(suspend=True)
        await world.settle()
        assert world.status["phase"] == "Succeeded"


async def test_a_training_that_ends_before_it_was_asked_shows_all_its_steps():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published().model_copy(update={"progress_step": 6}))
    await world.settle()
    assert world.status["progress"] == {"step": 6, "totalSteps": 6, "percent": 100}


class TestDeadline:
    async def test_running_time_is_limited_and_raising_it_continues(self):
        world = World(activeDeadlineSeconds=100)
        await world.prepare()
        await world.train()
        await world.pass_time(89)
        assert world.status["phase"] == "Training"
        await world.pass_time(1)
        assert world.status["phase"] == "Failed"
        assert world.condition("Succeeded")["reason"] == "DeadlineExceeded"
        assert world.jobs.names() == [PREPARE]
        world.edit_spec(activeDeadlineSeconds=200)
        await world.settle()
        assert world.jobs.names()[-1] == TRAIN_2

    async def test_queued_time_does_not_count(self):
        world = World(activeDeadlineSeconds=100, labels={"kueue.x-k8s.io/queue-name": "gpu"})
        await world.prepare()
        await world.pass_time(10_000)
        assert world.status["phase"] == "Queued"


async def test_a_queued_job_is_created_suspended_and_never_written_again():
    world = World(labels={"kueue.x-k8s.io/queue-name": "gpu"})
    await world.prepare()
    job = world.cluster.peek(JOB, NAMESPACE, TRAIN_1)
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert "kueue.x-k8s.io/queue-name" not in world.cluster.peek(JOB, NAMESPACE, PREPARE)["metadata"]["labels"]
    assert world.status["phase"] == "Queued"
    assert "'gpu'" in world.condition("Reconciling")["message"]

    def admit(body):
        body["spec"]["suspend"] = False

    world.cluster.edit(JOB, NAMESPACE, TRAIN_1, admit)
    await world.train()
    await world.pass_time(60)
    assert world.status["phase"] == "Training"
    assert [verb for verb, address in world.cluster.writes if address[0] == "Job" and address[2] == TRAIN_1] == [
        "create"
    ]


async def test_progress_is_asked_and_written_at_most_every_five_seconds():
    world = World()
    await world.prepare()
    world.trainers.answers["10.0.0.7"] = progress(1)
    await world.train()
    asked, writes = world.trainers.asked, len(world.cluster.writes)
    for step in range(2, 12):
        world.trainers.answers["10.0.0.7"] = progress(step)
        await world.pass_time(1)
    assert world.trainers.asked - asked == 2
    assert len(world.cluster.writes) - writes == 2


async def test_a_trainer_that_talks_nonsense_changes_no_fact():
    world = World()
    await world.prepare()
    nonsense = progress(-5).model_copy(
        update={
            "train_loss": float("nan"),
            "validation_loss": 1e300,
            "tokens_per_second": float("inf"),
            "estimated_finish": "soon",
            "checkpoint_step": 2**70,
        }
    )
    world.trainers.answers["10.0.0.7"] = nonsense
    await world.train()
    assert world.status["progress"] == {"step": 0, "totalSteps": 100, "percent": 0, "checkpointStep": 10**12}


async def test_a_pod_that_cannot_start_says_why():
    world = World()
    await world.prepare()
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    world.jobs.create_pod(TRAIN_1, {"phase": "Pending", "conditions": [scheduled]})
    await world.settle()
    assert world.condition("Reconciling")["reason"] == "PodPending"
    assert "Unschedulable: 0/3 nodes: no gpu" in world.condition("Reconciling")["message"]


async def test_a_forged_pod_is_not_asked():
    world = World()
    await world.prepare()
    world.jobs.create_pod(TRAIN_1, {"phase": "Running", "podIP": "10.6.6.6"})

    def forge(pod):
        pod["metadata"]["ownerReferences"][0]["uid"] = "another"
        pod["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": world.clock.text}}}]

    from tunewright_operator.api.kinds import POD

    world.cluster.edit(POD, NAMESPACE, f"{TRAIN_1}-pod", forge)
    await world.settle()
    assert world.trainers.asked == 0


@pytest.mark.parametrize("stage", ["new", "preparing", "training", "ended"])
async def test_deletion_at_any_phase_leaves_nothing(stage: str):
    world = World()
    if stage != "new":
        await world.settle()
    if stage in {"training", "ended"}:
        await world.prepare()
        await world.train()
    if stage == "ended":
        world.jobs.finish(TRAIN_1, published())
        await world.settle()
    assert not world.body["metadata"].get("finalizers")
    world.cluster.remove(FINE_TUNE_JOB, NAMESPACE, NAME)
    await world.settle()
    assert {kind for kind, _, _ in world.cluster._objects} == {"Namespace", "Secret", "BaseModel"}


async def test_deletion_in_progress_creates_nothing():
    world = World()

    def delete(body):
        body["metadata"]["deletionTimestamp"] = world.clock.text
        body["metadata"]["finalizers"] = ["someone/else"]

    world.cluster.edit(FINE_TUNE_JOB, NAMESPACE, NAME, delete)
    await world.settle()
    assert world.cluster.writes == []


async def test_observed_generation_follows_an_ended_job():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    await world.settle()
    transition = world.condition("Succeeded")["lastTransitionTime"]
    world.clock.advance(60)
    world.edit_spec(suspend=True)
    await world.settle()
    assert world.status["observedGeneration"] == world.body["metadata"]["generation"] == 2
    assert world.condition("Succeeded")["observedGeneration"] == 2
    assert world.condition("Succeeded")["lastTransitionTime"] == transition
    assert world.status["phase"] == "Succeeded"


async def test_conflicts_and_outages_lose_nothing():
    world = World()
    world.cluster.fail_next(ConflictError("changed"), "replace_status", times=2)
    await world.settle()
    world.cluster.fail_next(UnavailableError("away"), "list", times=1)
    with pytest.raises(UnavailableError):
        await world.settle()
    await world.prepare()
    assert world.jobs.names() == [PREPARE, TRAIN_1]


async def play_a_whole_life(world: World) -> None:
    """Prepare fails once, training loses a pod, is suspended, resumed, and succeeds."""
    await world.settle()
    world.jobs.start(PREPARE)
    await world.settle()
    world.jobs.finish(PREPARE, failed("StorageUnreachable", "no answer", retryable=True), exit_code=1)
    await world.pass_time(await world.settle())
    world.jobs.start(f"{NAME}-prepare-2")
    await world.pass_time(7)
    world.jobs.finish(f"{NAME}-prepare-2", prepared())
    await world.settle()
    await world.train()
    await world.pass_time(11)
    world.jobs.die(TRAIN_1, exit_code=137, reason="OOMKilled")
    await world.pass_time(await world.settle())
    await world.train(2)
    await world.pass_time(13)
    world.edit_spec(suspend=True)
    await world.settle()
    world.edit_spec(suspend=False)
    await world.settle()
    await world.train(3)
    await world.pass_time(17)
    world.jobs.finish(f"{NAME}-train-3", published())
    await world.settle()


def end_of(world: World) -> str:
    status = json.loads(json.dumps(world.status))
    return json.dumps([status, world.jobs.names()], sort_keys=True)


async def test_death_between_any_two_writes_reaches_the_same_end():
    undisturbed = World()
    await play_a_whole_life(undisturbed)
    assert undisturbed.status["phase"] == "Succeeded"
    assert undisturbed.status["restarts"] == 2
    assert undisturbed.status["activeSeconds"] == 7 + 11 + 13 + 17
    writes = len(undisturbed.cluster.writes)
    assert writes > 20
    for point in range(1, writes + 1):
        world = World()
        world.checked = undisturbed.checked
        world.cluster.crash_after = point
        await play_a_whole_life(world)
        assert world.cluster.crash_after is None, "the crash happened"
        assert end_of(world) == end_of(undisturbed), (
            f"crash after write {point}: {undisturbed.cluster.writes[point - 1]}"
        )


async def test_an_attempt_that_a_crash_kept_from_the_status_is_recorded():
    world = World()
    await world.settle()
    world.jobs.start(PREPARE)
    world.jobs.finish(PREPARE, prepared())
    world.cluster.crash_after = 3  # the dataset in the status, the ConfigMap, the Job: then the end
    await world.settle()
    assert world.cluster.crash_after is None
    assert world.jobs.names() == [PREPARE, TRAIN_1]
    assert world.status["attempt"] == 1


async def test_a_predecessors_job_of_the_same_name_is_not_ours():
    world = World()
    leftover = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": PREPARE,
            "namespace": NAMESPACE,
            "labels": {"tunewright.dev/kind": "FineTuneJob", "tunewright.dev/name": NAME},
            "ownerReferences": [{"uid": "a job deleted a moment ago", "controller": True}],
        },
        "spec": {"template": {"metadata": {"labels": {}}}},
    }
    world.cluster.put(leftover)
    world.jobs.start(PREPARE)
    world.jobs.finish(PREPARE, prepared())
    await world.settle()
    assert "dataset" not in world.status
    assert world.condition("Succeeded")["reason"] == "NameTaken"
    world.cluster.remove(JOB, NAMESPACE, PREPARE)
    await world.pass_time(30)
    assert world.condition("Succeeded")["reason"] == "Preparing"
