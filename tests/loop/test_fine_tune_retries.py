"""`retry` decides how a FineTuneJob continues after its pods die or its storage is unavailable."""

from __future__ import annotations

from support.worlds.job_worlds import NAME, PREPARE, TRAIN_1, TRAIN_2, World, failed, prepared, published
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.run_spec import RunSpec


async def test_two_minutes_without_storage_do_not_fail_the_job():
    world = World()
    await world.settle()
    outage_ends = world.clock().timestamp() + 120
    for number in range(1, 6):
        name = f"{NAME}-prepare-{number}"
        if name not in world.jobs.names():
            break
        world.jobs.start(name)
        await world.pass_time(5)
        if world.clock().timestamp() > outage_ends:
            world.jobs.finish(name, prepared())
            await world.settle()
            break
        world.jobs.finish(name, failed("StorageUnreachable", "no answer", retryable=True), exit_code=1)
        wait = await world.settle()
        assert world.condition("Reconciling")["reason"] == "Retrying"
        await world.pass_time(wait)
    assert world.jobs.names()[-1] == TRAIN_1


async def test_restarts_while_preparing_do_not_count_for_training():
    world = World(retry={"maxRestarts": 2})
    await world.settle()
    for number in (1, 2):
        world.jobs.start(f"{NAME}-prepare-{number}")
        world.jobs.finish(f"{NAME}-prepare-{number}", failed("StorageUnreachable", "away", retryable=True), exit_code=1)
        await world.pass_time(await world.settle())
        assert world.status["restarts"] == number
    world.jobs.start(f"{NAME}-prepare-3")
    world.jobs.finish(f"{NAME}-prepare-3", prepared())
    await world.settle()
    assert world.status["restarts"] == 0

    for attempt in (1, 2):
        await world.train(attempt)
        world.jobs.die(f"{NAME}-train-{attempt}", exit_code=1)
        assert await world.settle() == 20 * attempt, "the pauses start again, too"
        await world.pass_time(20 * attempt)
        assert world.status["restarts"] == attempt
    await world.train(3)
    world.jobs.die(f"{NAME}-train-3", exit_code=1)
    await world.settle()
    assert world.condition("Stalled")["reason"] == "RestartsExhausted"


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

    async def test_the_message_has_the_exit_code_and_the_last_log_lines(self):
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
        lines = message.split("last log lines: ")[1].split(" spec.retry")[0].removesuffix(".")
        assert len(lines.encode()) <= 1024

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

    async def test_out_of_memory_fails_when_the_spec_says_fail(self):
        world = World(retry={"outOfMemory": "Fail"})
        await world.prepare()
        await world.train()
        world.jobs.die(TRAIN_1, exit_code=137, reason="OOMKilled")
        await world.settle()
        assert world.status["phase"] == "Failed"
        assert world.condition("Stalled")["reason"] == "OutOfMemory"
        assert "exit code 137 (SIGKILL)" in world.condition("Succeeded")["message"]

    async def test_a_preempted_training_resumes_at_once_and_counts_no_restart(self):
        world = World(retry={"maxRestarts": 0})
        await world.prepare()
        await world.train()
        world.jobs.die(TRAIN_1, exit_code=143, disrupted=True)
        await world.settle()
        assert world.jobs.names()[-1] == TRAIN_2
        assert world.status["restarts"] == 0

    async def test_an_attempt_whose_pod_is_gone_with_its_result_runs_again(self):
        world = World()
        await world.prepare()
        await world.train()
        world.jobs.finish(TRAIN_1, published())
        world.jobs.lose_pod(TRAIN_1)
        await world.pass_time(await world.settle())
        assert world.jobs.names()[-1] == TRAIN_2

    async def test_exhausted_restarts_end_the_job_and_a_higher_limit_continues_it(self):
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

    async def test_a_job_below_the_minimum_keeps_its_scores(self):
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
