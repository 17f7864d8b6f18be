"""Rollouts whose evaluations reuse stored answers, and how a running evaluation is shown."""

from __future__ import annotations

from typing import Any

from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.progress import Phase, Progress
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_operator.api.kinds import JOB, MODEL_SERVER

FIRST, SECOND = revision_of("first"), revision_of("second")


def records(world: ServingWorld) -> dict[str, dict[str, Any]]:
    return {item["target"]: item for item in world.status().get("storedAnswers", [])}


def known(world: ServingWorld) -> set[str]:
    return {item.target for item in world.evaluation_request().known_answers}


def events(world: ServingWorld, reason: str) -> list[str]:
    return [message for _, _, found, message in world.cluster.events if found == reason]


async def begin(world: ServingWorld, word: str) -> None:
    """Let a job succeed whose adapter is then evaluated."""
    world.clock.advance(1)
    world.put_job(word)
    await world.settle()


async def test_the_second_rollout_reuses_the_answers_of_the_first(world):
    await begin(world, "first")
    assert known(world) == set()
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert set(records(world)) == {BASE_MODEL_TARGET, FIRST}
    await world.pass_windows()
    await begin(world, "second")
    request = world.evaluation_request()
    assert known(world) == {BASE_MODEL_TARGET, FIRST}
    assert {item.digest for item in request.known_answers} == {item["digest"] for item in records(world).values()}
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    found = records(world)
    assert {target for target, item in found.items() if "reusedAt" in item} == {BASE_MODEL_TARGET, FIRST}
    assert set(found) == {BASE_MODEL_TARGET, FIRST, SECOND}
    assert f"{FIRST}: 0 answers asked for, 400 reused" in events(world, "Evaluated")[-1]


async def test_after_a_rollback_the_older_revisions_answers_are_known(world):
    await world.settle()
    await world.promote("first")
    await world.promote("second")
    world.annotate("rollback", "first")
    await world.settle()
    await world.pass_windows()
    assert world.status()["stable"]["revision"] == FIRST
    await begin(world, "third")
    assert FIRST in known(world)
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert "reusedAt" in records(world)[FIRST]


async def test_another_configuration_of_the_server_needs_new_answers(world):
    await world.settle()
    await world.promote("first")
    before = records(world)
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(vllm={"dtype": "Float16"}))
    await world.settle()
    await begin(world, "second")
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    after = records(world)
    assert after[FIRST]["key"] != before[FIRST]["key"]
    assert "reusedAt" not in after[FIRST]
    assert after[BASE_MODEL_TARGET]["key"] != before[BASE_MODEL_TARGET]["key"]


def change_server(world: ServingWorld) -> None:
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(vllm={"dtype": "Float16"}))


async def test_answers_of_replicas_that_are_replaced_are_not_kept(world):
    await begin(world, "first")
    change_server(world)
    await world.settle()
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert records(world) == {}
    assert world.status()["candidate"]["step"] > 0, "the verdict counts"


async def test_reused_answers_are_not_compared_with_those_of_new_replicas(world):
    await world.settle()
    await world.promote("first")
    await begin(world, "second")
    job = world.evaluation_job()["metadata"]["uid"]
    change_server(world)
    await world.settle()
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "EvaluationError"
    assert "image or configuration changed" in stalled["message"]
    await world.pass_time(300)
    assert world.evaluation_job()["metadata"]["uid"] != job
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.status()["candidate"]["step"] > 0


async def test_a_try_that_could_not_measure_keeps_its_complete_arms(world):
    await begin(world, "first")
    world.finish_evaluation(Verdict.ERROR)
    await world.settle()
    assert set(records(world)) == {BASE_MODEL_TARGET, FIRST}
    await world.pass_time(300)
    assert known(world) == {BASE_MODEL_TARGET, FIRST}


def report_progress(world: ServingWorld, evaluated: int) -> None:
    world.evaluators.answers["10.0.0.7"] = Progress(
        phase=Phase.EVALUATING, evaluated=evaluated, to_evaluate=400, updated_at=world.clock.text
    )


async def test_a_running_evaluation_shows_its_progress(world):
    await begin(world, "first")
    name = world.evaluation_job()["metadata"]["name"]
    world.jobs.start(name)
    shown = []
    for step in range(21):
        report_progress(world, 20 * step)
        await world.pass_time(15)
        shown.append(world.status()["candidate"]["evaluation"]["progress"])
    assert shown == [f"{20 * step} of 400" for step in range(21)]
    assert "400 of 400 answers have arrived." in condition(world.status(), "Progressing")["message"]
    assert [message.split(" ")[1] for message in events(world, "Evaluating")[1:]] == ["100", "200", "300"]
    world.jobs.end_job(name, failed=True)
    world.cluster.remove(JOB, SUPPORT, name)


async def test_the_status_is_written_at_most_every_15_seconds(world):
    await begin(world, "first")
    world.jobs.start(world.evaluation_job()["metadata"]["name"])
    writes = 0
    for second in range(60):
        report_progress(world, second)
        before = len(world.cluster.writes)
        await world.pass_time(1)
        verbs = [address for verb, address in world.cluster.writes[before:] if verb == "replace_status"]
        writes += sum(address[0] == "AdapterDeployment" for address in verbs)
    assert writes == 4


async def test_an_evaluators_numbers_are_not_trusted(world):
    await begin(world, "first")
    world.jobs.start(world.evaluation_job()["metadata"]["name"])
    report_progress(world, 10**12)
    await world.pass_time(15)
    assert "progress" not in world.status()["candidate"]["evaluation"]
