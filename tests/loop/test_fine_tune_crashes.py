"""A FineTuneJob whose operator is killed after any write ends as it does without the kill."""

from __future__ import annotations

import json
from functools import partial

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.clusters.feeds import UnreliableFeed
from support.examples import spread
from support.worlds.job_worlds import NAME, PREPARE, TRAIN_1, World, failed, prepared, published
from tunewright_operator.api.kinds import JOB, SECRET
from tunewright_operator.cluster import ConflictError, UnavailableError


async def test_conflicts_and_outages_lose_nothing():
    world = World()
    world.cluster.fail_next(UnavailableError("away"), "create", times=1)
    with pytest.raises(UnavailableError):
        await world.settle()
    world.cluster.fail_next(ConflictError("changed"), "replace_status", times=2)
    await world.prepare()
    assert world.jobs.names() == [PREPARE, TRAIN_1]


async def play_a_whole_life(world: World) -> None:
    """Play a job whose prepare fails once, whose training loses a pod, is suspended and resumed, and succeeds."""
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
    kept = {body["metadata"]["name"]: body["spec"].get("ttlSecondsAfterFinished") for body in world.cluster.bodies(JOB)}
    keys = [body["metadata"]["name"] for body in world.cluster.bodies(SECRET) if body.get("immutable")]
    return json.dumps([status, kept, keys], sort_keys=True)


async def test_an_operator_killed_after_any_write_reaches_the_same_result():
    undisturbed = World()
    await play_a_whole_life(undisturbed)
    assert undisturbed.status["phase"] == "Succeeded"
    assert all("ttlSecondsAfterFinished" in body["spec"] for body in undisturbed.cluster.bodies(JOB))
    assert undisturbed.status["restarts"] == 1, "the restart of training; that of prepare does not count any more"
    assert undisturbed.status["activeSeconds"] == 7 + 11 + 13 + 17
    writes = len(undisturbed.cluster.writes)
    assert writes > 20
    for point in range(1, writes + 1):
        world = World()
        world.cluster.crash_after = point
        await play_a_whole_life(world)
        assert world.cluster.crash_after is None, "the crash happened"
        assert end_of(world) == end_of(undisturbed), (
            f"crash after write {point}: {undisturbed.cluster.writes[point - 1]}"
        )


@pytest.mark.parametrize("seed", spread(range(20), 6))
async def test_late_lost_repeated_and_reordered_events_change_no_result(seed):
    calm, world = World(), World(feed=partial(UnreliableFeed, seed=seed))
    await play_a_whole_life(calm)
    await play_a_whole_life(world)
    assert end_of(world) == end_of(calm)


async def test_an_operator_killed_after_any_write_reaches_the_same_result_with_an_unreliable_feed():
    calm = World()
    await play_a_whole_life(calm)
    for point in spread(range(1, len(calm.cluster.writes) + 1), 12):
        world = World(feed=partial(UnreliableFeed, seed=point))
        world.cluster.crash_after = point
        await play_a_whole_life(world)
        assert world.cluster.crash_after is None, "the crash happened"
        assert end_of(world) == end_of(calm), f"crash after write {point}"


async def test_an_attempt_that_was_created_before_a_crash_is_recorded():
    world = World()
    await world.settle()
    world.jobs.start(PREPARE)
    world.jobs.finish(PREPARE, prepared())
    # The status with the dataset, the key, the ConfigMap, the Job; then the operator is killed.
    world.cluster.crash_after = 4
    await world.settle()
    assert world.cluster.crash_after is None
    assert world.jobs.names() == [PREPARE, TRAIN_1]
    assert world.status["attempt"] == 1


async def test_a_job_of_a_deleted_finetunejob_of_the_same_name_is_not_adopted():
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
        "spec": {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "prepare"}]}}},
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
