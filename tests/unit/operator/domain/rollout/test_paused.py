"""What `spec.paused` holds, what it does not hold, and what follows when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict

EVALUATE: dict[str, Any] = {"evaluate": {}}
OBSERVE: dict[str, Any] = {"observe": {"minRequests": 40, "maxSeconds": 300}}
STEPS = [EVALUATE, {"setWeight": 20}, OBSERVE]


def begin(steps: list[dict[str, Any]] | None = None, **rollout: Any) -> RolloutWorld:
    """Return a world with a stable revision `one` and a candidate `two` whose evaluation runs."""
    world = RolloutWorld(STEPS if steps is None else steps, **rollout)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    return world


def pass_evaluation(world: RolloutWorld) -> None:
    world.finish_evaluation(Verdict.PASS)
    world.settle()


def pause(world: RolloutWorld, *, paused: bool = True) -> None:
    world.body["spec"]["paused"] = paused


def outcome(world: RolloutWorld) -> str:
    return world.deployment.status.history[0].reason


@pytest.mark.parametrize(
    ("verdict", "policy", "words", "afterwards"),
    [
        (Verdict.PASS, "Pause", "stays at its step", "Observing"),
        (Verdict.FAIL, "Pause", "The evaluation failed", "PreviouslyRolledBack"),
        (Verdict.FAIL, "Promote", "rolled back when spec.paused is false", "PreviouslyRolledBack"),
        (Verdict.INCONCLUSIVE, "Rollback", "onInconclusive: Rollback applies", "PreviouslyRolledBack"),
        (Verdict.INCONCLUSIVE, "Promote", "onInconclusive: Promote applies", "Observing"),
        (Verdict.ERROR, "Pause", "It runs again when spec.paused is false", "Evaluating"),
    ],
)
def test_the_verdict_of_an_evaluation_is_recorded_and_held(verdict, policy, words, afterwards):
    world = begin(onInconclusive=policy)
    pause(world)
    world.finish_evaluation(verdict)
    world.settle()
    world.clock.advance(400)
    decision = world.settle()
    assert (decision.wait.reason, decision.wait.stalled) == ("Paused", False)
    assert words in decision.wait.message
    candidate = world.deployment.status.candidate
    assert (candidate.step, candidate.weight, candidate.ending) == (0, 0, None)
    assert candidate.verdict == verdict.value
    pause(world, paused=False)
    assert world.settle().wait.reason == afterwards


@pytest.mark.parametrize(
    ("policy", "reason", "afterwards"),
    [
        ("Pause", "Inconclusive", "Inconclusive"),
        ("Rollback", "Paused", "PreviouslyRolledBack"),
        ("Promote", "Paused", "Baking"),
    ],
)
def test_an_inconclusive_observation_is_held(policy, reason, afterwards):
    world = begin(onInconclusive=policy)
    pass_evaluation(world)
    pause(world)
    world.ask(10)
    world.clock.advance(301)
    assert world.settle().wait.reason == reason
    candidate = world.deployment.status.candidate
    assert (candidate.step, candidate.weight, candidate.ending, candidate.verdict) == (2, 20, None, "Inconclusive")
    pause(world, paused=False)
    assert world.settle().wait.reason == afterwards


def test_an_adapter_that_every_replica_refuses_stays_the_candidate_while_it_has_no_weight():
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    for pod in world.pods:
        pod.broken[revision_of("two")] = "tensor holds NaN"
    world.name_adapter("two")
    world.step()
    pause(world)
    decision = world.settle()
    assert decision.wait.reason == "Paused"
    assert "tensor holds NaN" in decision.wait.message
    pause(world, paused=False)
    world.settle()
    assert outcome(world) == "AdapterRefused"


@pytest.mark.parametrize("answers", [0, 400])
def test_a_bake_does_not_end_while_paused(answers):
    world = begin([EVALUATE, {"setWeight": 20}], onInconclusive="Promote")
    pass_evaluation(world)
    assert world.settle().wait.reason == "Baking"
    pause(world)
    world.ask(answers)
    world.clock.advance(130)
    assert world.settle().wait.reason == "Paused"
    pause(world, paused=False)
    world.settle()
    assert world.deployment.status.stable.revision == revision_of("two")


def test_a_timed_pause_does_not_end_while_paused():
    world = begin([EVALUATE, {"setWeight": 20}, {"pause": {"seconds": 60}}, {"setWeight": 50}, {"pause": {}}])
    pass_evaluation(world)
    pause(world)
    world.clock.advance(100)
    assert world.settle().wait.reason == "Paused"
    pause(world, paused=False)
    assert world.settle().wait.reason == "AwaitingPromotion"


def test_no_candidate_is_accepted_or_superseded_and_the_newest_one_follows_afterwards():
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    pause(world)
    world.name_adapter("two")
    assert world.settle().wait.reason == "Paused"
    assert world.deployment.status.candidate is None
    world.name_adapter("three")
    pause(world, paused=False)
    world.settle()
    assert world.deployment.status.candidate.revision == revision_of("three")
    pause(world)
    world.name_adapter("four")
    world.settle()
    assert world.deployment.status.candidate.revision == revision_of("three")


@pytest.mark.parametrize("opened", ["before", "while paused"])
def test_a_failed_guardrail_rolls_back_while_paused(opened):
    world = begin()
    if opened == "before":
        pass_evaluation(world)
        pause(world)
    else:
        world.finish_evaluation(Verdict.PASS)
        while world.deployment.status.candidate.step < 2:
            world.step()
            world.plan_next()
            world.push()
        pause(world)
        world.settle()
    world.ask(1000, {revision_of("two"): {"ErrorRate"}})
    world.settle()
    assert outcome(world) == "GuardrailFailed"


@pytest.mark.parametrize("verb", ["promote", "abort", "retry"])
def test_manual_requests_work_while_paused(verb):
    world = begin([EVALUATE, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}])
    pass_evaluation(world)
    pause(world)
    world.settle()
    world.annotate(verb, "two")
    world.settle()
    candidate = world.deployment.status.candidate
    assert (candidate and candidate.step) == {"promote": 3, "abort": None, "retry": 2}[verb]


def test_a_rollback_request_is_accepted_while_paused_and_the_weight_waits():
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    world.promote_first("two")
    pause(world)
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Paused"
    assert world.deployment.status.candidate.revision == revision_of("one")
    pause(world, paused=False)
    assert world.settle().wait.reason == "Baking"
