"""The FineTuneJob loop against the fake API server: from the dataset to the adapter, progress, and deletion."""

from __future__ import annotations

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import NAME, PREPARE, TRAIN_1, World, prepared, progress, published
from tunewright_contracts.progress import Phase
from tunewright_contracts.run_spec import RunSpec
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB
from tunewright_operator.cluster import ForbiddenError


def read_progress(world: World) -> dict[str, object]:
    """Return the recorded progress without the time at which it was read, which is now."""
    recorded = dict(world.status["progress"])
    assert recorded.pop("reportedAt") == world.clock.text
    return recorded


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
    assert read_progress(world) == {"step": 40, "totalSteps": 100, "percent": 40, "trainLoss": "1.25"}
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


async def test_a_job_that_has_ended_is_reconciled_only_when_it_changes():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    assert await world.settle() is None
    assert await world.pass_time(1000) is None


async def test_a_run_spec_carries_the_resolved_base_model_and_training():
    world = World(training={"learningRate": "2e-4", "maxSequenceLength": "Auto", "lora": {"rank": 8, "alpha": 8}})
    await world.prepare()
    spec = RunSpec.from_json(world.jobs.request(TRAIN_1))
    assert spec.base_model.digest == "sha256:" + "a" * 64
    assert spec.training.learning_rate == "0.0002"
    assert spec.training.max_sequence_length == 0
    assert spec.base_model.target_modules[0] == "q_proj"
    assert spec.run_uri.startswith(f"s3://bucket/out/runs/{NAMESPACE}/{NAME}-")
    assert spec.attempt == 1


async def test_no_accelerator_is_requested_before_the_data_is_valid():
    world = World(scheduling={"nodeSelector": {"nvidia.com/gpu.product": "H100"}})
    await world.settle()
    pod = world.cluster.peek(JOB, NAMESPACE, PREPARE)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "8Gi", "ephemeral-storage": "60Gi"}
    assert "nodeSelector" not in pod


async def test_a_training_that_ends_before_its_progress_was_read_shows_all_steps():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published().model_copy(update={"progress_step": 6}))
    await world.settle()
    assert read_progress(world) == {"step": 6, "totalSteps": 6, "percent": 100}


async def test_progress_is_read_every_five_seconds_and_written_every_fifteen():
    world = World()
    await world.prepare()
    world.trainers.answers["10.0.0.7"] = progress(1)
    await world.train()
    asked, writes = world.trainers.asked, len(world.cluster.writes)
    for step in range(2, 42):
        world.trainers.answers["10.0.0.7"] = progress(step)
        await world.pass_time(1)
    assert world.trainers.asked - asked == 8
    assert len(world.cluster.writes) - writes == 2
    assert world.status["progress"]["step"] == 31
    world.trainers.answers["10.0.0.7"] = progress(42, Phase.EVALUATING)
    await world.pass_time(5)
    assert world.status["progress"]["step"] == 42, "a change of the phase is written at once"


async def test_invalid_numbers_of_a_trainer_are_left_out():
    world = World()
    await world.prepare()
    nonsense = progress(0).model_copy(
        update={
            "step": -5,
            "train_loss": float("nan"),
            "validation_loss": 1e300,
            "tokens_per_second": float("inf"),
            "estimated_finish": "soon",
            "checkpoint_step": 2**70,
        }
    )
    world.trainers.answers["10.0.0.7"] = nonsense
    await world.train()
    assert read_progress(world) == {"step": 0, "totalSteps": 100, "percent": 0, "checkpointStep": 10**12}


async def test_the_reason_of_a_pod_that_cannot_start_is_shown():
    world = World()
    await world.prepare()
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    world.jobs.create_pod(TRAIN_1, {"phase": "Pending", "conditions": [scheduled]})
    await world.settle()
    assert world.condition("Reconciling")["reason"] == "PodPending"
    assert "Unschedulable: 0/3 nodes: no gpu" in world.condition("Reconciling")["message"]


async def test_a_pod_of_another_controller_is_not_read():
    world = World()
    await world.prepare()
    world.jobs.create_pod(TRAIN_1, {"phase": "Running", "podIP": "10.6.6.6"})

    def forge(pod):
        pod["metadata"]["ownerReferences"][0]["uid"] = "another"
        pod["status"]["containerStatuses"] = [
            {"name": "prepare", "state": {"running": {"startedAt": world.clock.text}}}
        ]

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
    assert {body["kind"] for body in world.cluster.bodies()} == {"Namespace", "Secret", "BaseModel"}


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


async def test_finished_jobs_expire_when_the_status_has_their_result():
    world = World()
    await world.settle()
    world.jobs.start(PREPARE)
    world.jobs.finish(PREPARE, prepared())
    world.cluster.crash_after = 1
    await world.settle()
    assert world.status["dataset"]["train"] == 80
    await world.train()
    assert find_expiry(world) == {PREPARE: 3600, TRAIN_1: None}
    world.jobs.finish(TRAIN_1, published())
    await world.settle()
    assert find_expiry(world) == {PREPARE: 3600, TRAIN_1: 3600}


async def test_an_ended_job_whose_jobs_are_gone_runs_none_again():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    await world.settle()
    for name in (PREPARE, TRAIN_1):
        world.cluster.remove(JOB, NAMESPACE, name)
    status = world.status
    await world.pass_time(10_000)
    assert (world.jobs.names(), world.status) == ([], status)


async def test_a_refused_expiry_does_not_change_the_result():
    world = World()
    await world.prepare()
    await world.train()
    world.jobs.finish(TRAIN_1, published())
    world.cluster.fail_next(ForbiddenError("a policy denies it"), "apply", JOB, TRAIN_1)
    await world.settle()
    assert world.status["phase"] == "Succeeded"
    assert world.condition("Stalled") is None


def find_expiry(world: World) -> dict[str, int | None]:
    return {body["metadata"]["name"]: body["spec"].get("ttlSecondsAfterFinished") for body in world.cluster.bodies(JOB)}
