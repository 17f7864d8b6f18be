"""The effect of the annotations `rollback` and `retry` during another rollout."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict

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
    assert shares(world)[revision_of(word)] == 20


def shares(world: RolloutWorld) -> dict[str, int]:
    assert world.plan is not None
    return {target.name: target.weight for target in world.plan.routes[0].targets}


def stable(world: RolloutWorld) -> str:
    found = world.deployment.status.stable
    assert found is not None
    return found.revision


def ignored(world: RolloutWorld) -> list[str]:
    return [message for reason, message in world.notices if reason == "RequestIgnored"]


def test_a_rollback_in_a_canary_stays_although_the_spec_names_the_candidate(world):
    to_canary(world, "three")
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    assert shares(world) == {revision_of("one"): 100}
    world.clock.advance(121)
    decision = world.settle()
    assert stable(world) == revision_of("one")
    assert decision.wait.reason == "PreviouslyRolledBack"
    assert shares(world) == {revision_of("one"): 100}


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
    assert shares(world) == {revision_of("one"): 100}


def test_a_second_request_for_a_rollback_does_not_return_traffic_to_the_revision_rolled_back(world):
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    world.annotate("rollback", "one", "2")
    assert world.settle().wait.reason == "Baking"
    assert shares(world) == {revision_of("one"): 100}
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
