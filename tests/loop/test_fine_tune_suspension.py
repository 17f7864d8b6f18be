"""A FineTuneJob that is suspended, queued, or over its deadline."""

from __future__ import annotations

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import PREPARE, TRAIN_1, TRAIN_2, World, published
from tunewright_operator.api.kinds import JOB


class TestSuspension:
    async def test_suspend_stops_the_pod_and_resume_starts_the_next_attempt(self):
        world = World()
        await world.prepare()
        await world.train()
        world.clock.advance(100)
        world.edit_spec(suspend=True)
        assert await world.settle() is None
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

    async def test_suspended_before_it_started(self):
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

    async def test_a_job_that_finished_before_it_could_be_suspended_has_succeeded(self):
        world = World()
        await world.prepare()
        await world.train()
        world.jobs.finish(TRAIN_1, published())
        world.edit_spec(suspend=True)
        await world.settle()
        assert world.status["phase"] == "Succeeded"


class TestDeadline:
    async def test_running_time_is_limited_and_a_higher_limit_continues_the_job(self):
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

    async def test_a_failed_job_has_ended_when_its_pod_has(self):
        world = World(activeDeadlineSeconds=100)
        await world.prepare()
        await world.train()

        def hold(job):
            job["metadata"]["finalizers"] = ["foregroundDeletion"]

        world.cluster.edit(JOB, NAMESPACE, TRAIN_1, hold)
        assert await world.pass_time(100) is None
        assert world.status["phase"] == "Failed"
        world.cluster.remove(JOB, NAMESPACE, TRAIN_1)
        assert await world.settle() is None
        world.edit_spec(activeDeadlineSeconds=200)
        assert await world.settle() is not None

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
