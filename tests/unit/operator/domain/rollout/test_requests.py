"""The effect of the annotations `rollback` and `retry` during another rollout."""

from __future__ import annotations

from typing import Any

import pytest

from support.crds.schema import read_crds, root_schema
from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.api.conditions import AdapterDeploymentCondition, find_condition
from tunewright_operator.domain.rollout import requests
from tunewright_operator.domain.rollout.status import report

STEPS = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 300}}]


@pytest.fixture
def world() -> RolloutWorld:
    """Return a world with `two` as stable, and `one` as stable before it."""
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    world.promote_first("two")
    return world


def to_canary(world: RolloutWorld, word: str) -> None:
    world.name_adapter(word)
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    assert world.shares()[revision_of(word)] == 20


def ignored(world: RolloutWorld) -> list[str]:
    return [message for reason, message in world.notices if reason == "RequestIgnored"]


def test_a_rollback_in_a_canary_stays_although_the_spec_names_the_candidate(world):
    to_canary(world, "three")
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    assert world.shares() == {revision_of("one"): 100}
    world.clock.advance(121)
    decision = world.settle()
    assert world.stable == revision_of("one")
    assert decision.wait.reason == "PreviouslyRolledBack"
    assert world.shares() == {revision_of("one"): 100}


def test_a_rollback_that_takes_all_steps_is_not_superseded_by_the_canary(world):
    world.annotate("rollback", "one")
    world.settle()
    world.clock.advance(121)
    world.settle()
    to_canary(world, "three")
    world.annotate("rollback", "two", "2")  # It was rolled back last, so it is evaluated again.
    world.settle()
    candidate = world.deployment.status.candidate
    assert (candidate.revision, candidate.step) == (revision_of("two"), 0)
    assert world.shares() == {revision_of("one"): 100}


def test_a_second_request_for_a_rollback_does_not_return_traffic_to_the_revision_rolled_back(world):
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    world.annotate("rollback", "one", "2")
    assert world.settle().wait.reason == "Baking"
    assert world.shares() == {revision_of("one"): 100}
    assert "is already the candidate" in ignored(world)[-1]


def test_a_retry_of_a_revision_that_the_spec_does_not_name_is_ignored(world):
    world.name_adapter("three")
    world.settle()
    world.finish_evaluation(Verdict.FAIL)
    world.settle()
    world.name_adapter("two")
    world.settle()
    world.annotate("retry", "three")
    world.settle()
    assert f"the spec names {revision_of('two')}" in ignored(world)[-1]
    world.name_adapter("three")
    assert world.settle().wait.reason == "PreviouslyRolledBack"


def test_a_retry_works_after_a_rollback_from_the_revision_that_the_spec_names(world):
    world.name_adapter("three")
    world.settle()
    world.finish_evaluation(Verdict.FAIL)
    world.settle()
    world.annotate("rollback", "one")
    world.settle()
    world.clock.advance(121)
    world.settle()
    world.annotate("retry", "two", "1")
    world.settle()
    assert world.deployment.status.candidate.revision == revision_of("two")


LONG = [*STEPS, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]


def begin(steps: list[dict[str, Any]]) -> RolloutWorld:
    """Return a world with `one` as stable and `two` as a candidate whose evaluation has passed."""
    world = RolloutWorld(steps)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    return world


def progressing(world: RolloutWorld) -> str:
    status = report(world.situation(), world.decide(), world.now)
    found = find_condition(status.conditions, AdapterDeploymentCondition.PROGRESSING)
    assert found is not None
    return found.message


def step_until(world: RolloutWorld, step: int) -> None:
    """Decide until the candidate is at a step, which has not begun then."""
    while world.deployment.status.candidate.step < step:
        world.step()
        world.plan_next()
        world.push()


@pytest.mark.parametrize("sent_at", ["loading", "setWeight", "not begun"])
def test_a_promotion_that_arrives_before_a_step_waits_is_kept_for_that_step(sent_at):
    world = begin([{"evaluate": {}}, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}])
    if sent_at == "loading":
        world.pods[0].retrying[revision_of("two")] = "access denied"
        world.pods[0].restart(world.plan)
        step_until(world, 1)
    elif sent_at == "setWeight":
        step_until(world, 1)
        world.step()
    else:
        step_until(world, 2)
    world.annotate("promote", "two")
    assert world.step().again
    candidate = world.deployment.status.candidate
    assert candidate.kept_promotion == f"{revision_of('two')}@1"
    assert "is kept until a step waits for a manual request" in progressing(world)
    assert [reason for reason, _ in world.notices][-1] == "RequestKept"
    world.pods[0].retrying.clear()
    world.pods[0].load()
    assert world.settle().wait.reason == "AwaitingPromotion"
    candidate = world.deployment.status.candidate
    assert (candidate.step, candidate.weight, candidate.kept_promotion) == (4, 50, None), "it passes one step"
    assert "is kept" not in progressing(world)


def test_a_kept_promotion_does_not_pass_an_observation_without_its_answers():
    world = begin(LONG)
    step_until(world, 1)
    world.step()
    world.annotate("promote", "two")
    decision = world.settle()
    assert decision.wait.reason == "Observing"
    assert "is kept" in progressing(world)
    world.ask(400)
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert world.deployment.status.candidate.step == 5, "it passed the first pause"


def test_a_kept_promotion_passes_an_inconclusive_observation():
    world = begin([*STEPS, {"setWeight": 50}, {"pause": {}}])
    step_until(world, 1)
    world.step()
    world.annotate("promote", "two")
    world.settle()
    world.clock.advance(301)
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert world.shares()[revision_of("two")] == 50


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_kept_promotion_is_taken_back_by_its_annotation(change):
    world = begin(LONG)
    step_until(world, 1)
    world.step()
    world.annotate("promote", "two")
    world.settle()
    if change == "removed":
        del world.body["metadata"]["annotations"]["tunewright.dev/promote"]
    else:
        world.annotate("promote", "three")
    world.ask(400)
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert world.deployment.status.candidate.step == 3
    assert "is kept" not in progressing(world)


def test_a_kept_promotion_waits_while_paused_and_an_abort_ends_it():
    world = begin([{"evaluate": {}}, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}])
    step_until(world, 1)
    world.step()
    world.annotate("promote", "two")
    world.step()
    world.body["spec"]["paused"] = True
    assert world.settle().wait.reason == "Paused"
    world.annotate("abort", "two")
    world.settle()
    assert world.deployment.status.history[0].reason == "AbortRequested"
    assert "is kept" not in progressing(world)


def test_a_request_that_does_nothing_is_shown_in_a_condition_until_it_is_removed_or_another_rollout_begins():
    world = begin(LONG)
    world.settle()
    world.annotate("promote", "three")
    world.settle()
    text = f"tunewright.dev/promote={revision_of('three')}@1 does nothing: {revision_of('three')} is not the candidate."
    assert text in progressing(world)
    value = world.body["metadata"]["annotations"].pop("tunewright.dev/promote")
    assert text not in progressing(world)
    world.body["metadata"]["annotations"]["tunewright.dev/promote"] = value
    assert text in progressing(world)
    world.clock.advance(1)
    world.annotate("abort", "two")
    world.settle()
    assert text not in progressing(world)


@pytest.mark.parametrize("verb", ["abort", "retry", "rollback", "promote"])
def test_every_verb_shows_why_it_does_nothing(verb):
    world = begin(LONG)
    world.settle()
    world.annotate(verb, "unknown")
    world.settle()
    (handled,) = [item for item in world.deployment.status.last_handled_requests if item.verb == verb]
    assert handled.message.startswith(f"tunewright.dev/{verb}={revision_of('unknown')}@1 does nothing")
    assert handled.message in progressing(world)


def test_the_limits_are_those_of_the_crd():
    status = root_schema(read_crds()["AdapterDeployment"])["properties"]["status"]["properties"]
    fields = status["lastHandledRequests"]["items"]["properties"]
    assert fields["value"]["maxLength"] == requests.MAX_VALUE_LENGTH
    assert fields["message"]["maxLength"] == requests.MAX_MESSAGE
    kept = status["candidate"]["properties"]["keptPromotion"]
    assert kept["maxLength"] == requests.MAX_VALUE_LENGTH


def test_a_promotion_of_the_next_candidate_waits_for_it_and_is_then_kept():
    world = begin(LONG)
    world.settle()
    world.annotate("abort", "two")
    world.settle()
    world.body["spec"]["paused"] = True
    world.name_adapter("three")
    world.annotate("promote", "three")
    assert world.settle().wait.reason == "Paused"
    assert f"{revision_of('three')}@1 waits until {revision_of('three')} is the candidate" in progressing(world)
    assert "promote" not in [
        item.verb for item in world.deployment.status.last_handled_requests if "three" in item.value
    ]
    world.body["spec"]["paused"] = False
    world.settle()
    assert world.deployment.status.candidate.kept_promotion == f"{revision_of('three')}@1"
    assert "waits until" not in progressing(world)
    assert ignored(world) == []


def test_a_promotion_waits_for_the_end_of_another_revisions_bake(world):
    to_canary(world, "three")
    world.ask(400)
    assert world.settle().wait.reason == "Baking"
    world.name_adapter("four")
    world.annotate("promote", "four")
    world.settle()
    assert "waits until" in progressing(world)
    world.clock.advance(121)
    world.settle()
    assert world.deployment.status.candidate.kept_promotion == f"{revision_of('four')}@1"


def test_a_promotion_of_an_excluded_or_stable_revision_does_not_wait(world):
    for word, verdict in (("three", Verdict.FAIL), ("two", Verdict.PASS)):
        world.name_adapter(word)
        world.settle()
        if word == "three":
            world.finish_evaluation(verdict)
            world.settle()
        world.annotate("promote", word)
        world.settle()
        assert f"{revision_of(word)} is not the candidate" in ignored(world)[-1]
