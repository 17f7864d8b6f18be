"""What a person's `rollback` and `retry` do while something else is on its way."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict

STEPS = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 300}}]


@pytest.fixture
def world() -> RolloutWorld:
    """A world with `two` stable and `one` stable before it."""
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


def test_a_rollback_in_a_canary_sticks_though_the_spec_names_the_candidate(world):
    to_canary(world, "three")
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    assert shares(world) == {revision_of("one"): 100}
    world.clock.advance(121)
    decision = world.settle()
    assert stable(world) == revision_of("one")
    assert decision.wait.reason == "PreviouslyRolledBack"
    assert shares(world) == {revision_of("one"): 100}


def test_a_rollback_in_a_canary_to_one_that_goes_all_steps_is_not_superseded_by_the_canary(world):
    world.annotate("rollback", "one")
    world.settle()
    world.clock.advance(121)
    world.settle()
    to_canary(world, "three")
    world.annotate("rollback", "two", "2")  # Its last end was that rollback: it is evaluated again.
    world.settle()
    candidate = world.deployment.status.candidate
    assert (candidate.revision, candidate.step) == (revision_of("two"), 0)
    assert shares(world) == {revision_of("one"): 100}


def test_a_rollback_that_is_asked_for_twice_does_not_give_requests_back_to_what_is_fled(world):
    world.annotate("rollback", "one")
    assert world.settle().wait.reason == "Baking"
    world.annotate("rollback", "one", "2")
    assert world.settle().wait.reason == "Baking"
    assert shares(world) == {revision_of("one"): 100}
    assert "is already the candidate" in ignored(world)[-1]


def test_a_retry_of_what_the_spec_does_not_name_says_so_and_forgets_no_refusal(world):
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


def test_a_retry_works_when_what_the_spec_names_was_refused_too(world):
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
