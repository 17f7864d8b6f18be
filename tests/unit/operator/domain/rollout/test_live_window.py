"""When the evidence of a window is recorded, and what becomes of the evidence that is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict

STEPS: list[dict[str, Any]] = [
    {"evaluate": {}},
    {"setWeight": 20},
    {"observe": {"minRequests": 400, "maxSeconds": 300}},
]
ONE, TWO = revision_of("one"), revision_of("two")


def at_window(steps: list[dict[str, Any]] | None = None, **rollout: Any) -> RolloutWorld:
    """Return a world with an open window in which 200 requests were recorded."""
    world = RolloutWorld(steps or STEPS, **rollout)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    ask(world, 200)
    world.settle()
    return world


def ask(world: RolloutWorld, count: int, bad: dict[str, set[str]] | None = None) -> None:
    """Send requests in new sessions."""
    start = getattr(world, "asked", 0)
    world.ask(count, bad, start)
    world.asked = start + count  # type: ignore[attr-defined]


def count_requests(world: RolloutWorld) -> int:
    """Return the requests of both arms in the recorded evidence."""
    candidate = world.deployment.status.candidate
    assert candidate is not None
    assert candidate.observed is not None
    return candidate.observed.candidate.requests + candidate.observed.stable.requests


def write_status(world: RolloutWorld) -> bool:
    """Reconcile once, and return whether the status has changed."""
    before = orjson.dumps(world.body)
    world.step()
    return orjson.dumps(world.body) != before


def lose_replies(world: RolloutWorld) -> None:
    for pod in world.pods:
        pod.reachable = False
    world.clock.skip(31)


@pytest.mark.parametrize(
    ("happens", "recorded"),
    [
        (lambda world: None, False),
        (lambda world: ask(world, 4), False),
        (lambda world: ask(world, 60), True),
        (lambda world: ask(world, 4, {TWO: {"ErrorRate"}}), False),
        (lambda world: world.clock.skip(29), False),
        (lambda world: world.clock.skip(30), True),
        (lose_replies, True),
        (lambda world: world.annotate("promote", "two"), True),
        (lambda world: world.body["spec"].update(paused=True), False),
        (lambda world: world.pods[0].restart(world.plan), False),
    ],
    ids=[
        "nothing",
        "a few requests",
        "a quarter more requests",
        "a few bad answers",
        "29 seconds",
        "30 seconds",
        "an outage",
        "a manual request",
        "a pause",
        "a restarted server process",
    ],
)
def test_evidence_is_recorded_when_it_says_something_new(
    happens: Callable[[RolloutWorld], object], recorded: bool
) -> None:
    world = at_window()
    assert not write_status(world)
    happens(world)
    assert write_status(world) is recorded
    world.settle()
    assert not write_status(world), "once"


def test_the_first_reading_of_a_window_is_recorded() -> None:
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    candidate = world.deployment.status.candidate
    assert candidate is not None
    assert "the candidate has 0 of 400 answers" in candidate.reasons


@pytest.mark.parametrize("is_killed", [False, True])
def test_evidence_that_was_not_recorded_is_counted_at_the_next_reading(is_killed: bool) -> None:
    """The counters of the pods are cumulative."""
    world = at_window()
    ask(world, 20)
    assert not write_status(world)
    if is_killed:
        world.restart_operator()
    world.clock.skip(30)
    assert write_status(world)
    assert count_requests(world) == 220


@pytest.mark.parametrize(("is_killed", "counted"), [(False, 220), (True, 200)])
def test_only_a_killed_operator_loses_the_last_answers_of_a_server_process(is_killed: bool, counted: int) -> None:
    world = at_window()
    ask(world, 20)
    assert not write_status(world)
    for pod in world.pods:
        pod.restart(world.plan)
    if is_killed:
        world.restart_operator()
    world.clock.skip(30)
    assert write_status(world)
    assert count_requests(world) == counted
    candidate = world.deployment.status.candidate
    assert candidate is not None
    assert candidate.observation is not None
    assert candidate.observation["lost"] == 2


def test_time_that_was_not_recorded_is_counted() -> None:
    world = at_window()
    for _ in range(60):
        world.clock.skip(5)
        world.step()
    candidate = world.deployment.status.candidate
    assert candidate is not None
    assert candidate.verdict == "Inconclusive", "300 seconds were watched, of which most readings were not recorded"


def test_guards_bet_on_all_answers_before_a_window_passes() -> None:
    world = at_window()
    for _ in range(200):
        ask(world, 10)
        world.step()
        candidate = world.deployment.status.candidate
        assert candidate is not None
        if candidate.step != 2:
            break
    assert candidate.step == 3
    assert candidate.observation is not None
    (errors, *_) = candidate.observation["guards"]
    arms = candidate.observation["arms"]
    assert errors["closed"][::2] == [arms[arm]["answers"] for arm in ("candidate", "incumbent")]
    assert errors["closed"][0] >= 400


@pytest.mark.parametrize("policy", ["Pause", "Rollback", "Promote"])
@pytest.mark.parametrize("paused", [False, True])
def test_a_window_that_has_ended_is_recorded_once(policy: str, paused: bool) -> None:
    world = at_window(onInconclusive=policy)
    world.body["spec"]["paused"] = paused
    world.clock.advance(301)
    world.settle()
    candidate = world.deployment.status.candidate
    if not paused and policy != "Pause":
        assert candidate is None or candidate.step != 2
        return
    assert candidate is not None
    assert candidate.verdict == "Inconclusive"
    for _ in range(20):
        world.clock.skip(5)
        assert not write_status(world)
    ask(world, 4)
    world.clock.skip(29)
    assert write_status(world), "the requests after the end are shown"


def test_a_candidate_that_fails_every_answer_is_rolled_back_between_two_records() -> None:
    world = at_window([{"setWeight": 100}, {"observe": {"minRequests": 5000, "maxSeconds": 3000}}])
    assert not write_status(world)
    ask(world, 40, {TWO: {"OutputContract"}})
    ask(world, 160, {TWO: {"OutputContract"}})
    world.step()
    assert world.deployment.status.candidate is not None
    assert world.deployment.status.candidate.ending is not None
    assert world.deployment.status.candidate.ending.reason == "GuardrailFailed"
