"""Edits of the spec and manual requests during a rollout, in the loops of the operator and with its restarts."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import ServingWorld, condition
from tunewright_contracts.evaluation_report import Verdict

FIRST, SECOND = revision_of("first"), revision_of("second")
STEPS: list[dict[str, Any]] = [{"evaluate": {}}, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]


def edit_steps(world: ServingWorld, steps: list[dict[str, Any]]) -> None:
    world.edit_deployment(lambda body: body["spec"]["rollout"].update(steps=steps))


def pause(world: ServingWorld, *, paused: bool = True) -> None:
    world.edit_deployment(lambda body: body["spec"].update(paused=paused))


def reason(world: ServingWorld) -> str:
    return str(condition(world.status(), "Progressing")["reason"])


async def begin(world: ServingWorld) -> None:
    """Promote a first adapter, and let a second one wait in a pause at 20 %."""
    await world.settle()
    await world.promote("first")
    edit_steps(world, STEPS)
    await world.begin_canary("second")
    assert reason(world) == "AwaitingPromotion"
    assert world.targets() == {FIRST: 80, SECOND: 20}


@pytest.mark.parametrize("restart", [False, True])
async def test_a_weight_is_lowered_during_a_pause_and_while_paused(world, restart):
    await begin(world)
    pause(world)
    edit_steps(world, [STEPS[0], {"setWeight": 5}, *STEPS[2:]])
    if restart:
        world.restart_operator()
    await world.settle()
    assert world.targets() == {FIRST: 95, SECOND: 5}
    assert reason(world) == "Paused"
    assert "WeightChanged" in [event[2] for event in world.cluster.events]
    edit_steps(world, [STEPS[0], {"setWeight": 30}, *STEPS[2:]])
    await world.settle()
    assert world.targets() == {FIRST: 95, SECOND: 5}
    pause(world, paused=False)
    await world.settle()
    assert world.targets() == {FIRST: 70, SECOND: 30}
    assert reason(world) == "AwaitingPromotion"


async def test_steps_that_are_removed_end_in_a_bake_and_steps_that_are_added_end_the_bake(world):
    await begin(world)
    edit_steps(world, STEPS[:3] + STEPS[4:])
    await world.settle()
    assert (reason(world), world.targets()) == ("AwaitingPromotion", {FIRST: 80, SECOND: 20})
    edit_steps(world, STEPS[:2])
    await world.settle()
    assert (reason(world), world.targets()) == ("Baking", {SECOND: 100})
    edit_steps(world, STEPS[:3])
    await world.settle()
    assert (reason(world), world.targets()) == ("AwaitingPromotion", {FIRST: 80, SECOND: 20})


@pytest.mark.parametrize("restart", [False, True])
async def test_a_promotion_that_arrives_too_early_is_kept_over_a_restart(world, restart):
    await world.settle()
    await world.promote("first")
    edit_steps(world, STEPS)
    world.clock.advance(1)
    world.put_job("second")
    await world.settle()
    pause(world)
    world.annotate("promote", "second")
    await world.settle()
    assert world.status()["candidate"]["step"] == 1, "it passed the evaluation"
    world.annotate("promote", "second", "2")
    await world.settle()
    assert world.status()["candidate"]["keptPromotion"] == f"{SECOND}@2"
    assert f"{SECOND}@2 is kept until a step waits" in condition(world.status(), "Progressing")["message"]
    if restart:
        world.restart_operator()
    pause(world, paused=False)
    await world.settle()
    assert (reason(world), world.status()["candidate"]["step"]) == ("AwaitingPromotion", 4)
    assert "keptPromotion" not in world.status()["candidate"]
    assert world.targets() == {FIRST: 50, SECOND: 50}


@pytest.mark.parametrize(("policy", "end"), [("Rollback", "InconclusiveRolledBack"), ("Promote", "Promoted")])
async def test_on_inconclusive_waits_while_paused(world, policy, end):
    steps = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 100}}]
    await world.settle()
    await world.promote("first")
    world.edit_deployment(lambda body: body["spec"]["rollout"].update(steps=steps, onInconclusive=policy))
    await world.begin_canary("second")
    pause(world)
    await world.settle()
    await world.pass_time(101)
    await world.pass_time(1000)
    assert reason(world) == "Paused"
    assert world.status()["candidate"]["verdict"] == "Inconclusive"
    assert world.targets() == {FIRST: 80, SECOND: 20}
    pause(world, paused=False)
    await world.settle()
    await world.pass_time(60)
    assert world.status()["history"][0]["reason"] == end


async def test_an_evaluation_that_failed_ends_the_rollout_only_after_the_pause(world):
    await world.settle()
    await world.promote("first")
    world.clock.advance(1)
    world.put_job("second")
    await world.settle()
    pause(world)
    world.finish_evaluation(Verdict.FAIL)
    await world.settle()
    assert reason(world) == "Paused"
    assert world.status()["candidate"]["verdict"] == "Fail"
    pause(world, paused=False)
    await world.settle()
    assert world.status()["history"][0]["reason"] == "EvaluationFailed"


async def test_an_edited_evaluation_replaces_the_running_one(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    world.edit_deployment(lambda body: body["spec"]["evaluation"].update(maxSamples=7))
    await world.settle()
    assert world.evaluation_job()["metadata"]["name"] != name
    await world.promote_candidate()
    assert world.status()["stable"]["revision"] == FIRST


async def test_a_request_for_another_revision_is_shown_in_a_condition(world):
    await begin(world)
    world.annotate("promote", "other")
    await world.settle()
    text = f"tunewright.dev/promote={revision_of('other')}@1 does nothing"
    assert text in condition(world.status(), "Progressing")["message"]
    world.annotate("promote", "second", "2")
    await world.settle()
    assert text not in condition(world.status(), "Progressing")["message"]
