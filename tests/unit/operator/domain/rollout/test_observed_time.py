"""The time of a window in virtual time: it counts only while ready pods are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.rollout.observation import Seen

STEPS: list[dict[str, Any]] = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 300}}]
HOUR = 3600
OUTAGE_SECONDS = 600
"""Twice the longest window."""


def lose_replies(world: RolloutWorld) -> None:
    for pod in world.pods:
        pod.reachable = False


def lose_readiness(world: RolloutWorld) -> None:
    for pod in world.pods:
        pod.ready = False


def scale_to_zero(world: RolloutWorld) -> None:
    world.pods.clear()


def read_only_an_unready_pod(world: RolloutWorld) -> None:
    world.pods[0].reachable = False
    world.pods[1].ready = False


def lose_the_board(world: RolloutWorld) -> None:
    world.plan = None


def keep_an_old_snapshot(world: RolloutWorld) -> None:
    """Let the server's loop hang: the board has its last snapshot."""
    seen = world.observe_server()
    assert isinstance(seen, Seen)
    world.observe_server = lambda: seen  # type: ignore[method-assign]


OUTAGES = [
    lose_replies,
    lose_readiness,
    scale_to_zero,
    read_only_an_unready_pod,
    lose_the_board,
    keep_an_old_snapshot,
]


def at_window(step: int) -> RolloutWorld:
    """Return a world whose candidate is in its observe step (2) or bake (3) since 100 seconds."""
    world = RolloutWorld(STEPS, onInconclusive="Promote")
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    if step == 3:
        world.ask(400)
        world.settle()
    assert world.deployment.status.candidate is not None
    assert world.deployment.status.candidate.step == step
    world.clock.advance(100)
    return world


def recover(world: RolloutWorld, copy: RolloutWorld) -> None:
    world.pods, world.plan = copy.pods, copy.plan
    world.__dict__.pop("observe_server", None)
    for pod in world.pods:
        pod.ready = pod.reachable = True


@pytest.mark.parametrize(("step", "rest"), [(2, 200), (3, 20)], ids=["observe", "bake"])
@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_an_error_and_its_time_does_not_count(
    outage: Callable[[RolloutWorld], None], step: int, rest: int
) -> None:
    world = at_window(step)
    world.step()
    kept = RolloutWorld(STEPS)
    kept.pods, kept.plan = [*world.pods], world.plan
    outage(world)
    for _ in range(5):
        world.clock.advance(OUTAGE_SECONDS)
        decision = world.step()
        candidate = world.deployment.status.candidate
        assert candidate is not None
        assert (candidate.step, candidate.verdict) == (step, "Error"), "it is neither Pass nor Inconclusive"
        assert decision.wait is not None
        assert (decision.wait.reason, decision.wait.stalled) == ("ServerNotReady", False)
        assert "answers after" not in decision.wait.message, "too little traffic is not the cause"
    recover(world, kept)
    world.step()
    world.clock.advance(rest - 5)
    world.step()
    assert world.deployment.status.candidate is not None
    assert (world.deployment.status.candidate.step, world.deployment.status.candidate.verdict) == (step, None)
    world.clock.advance(6)
    world.settle()
    candidate = world.deployment.status.candidate
    assert candidate is None or candidate.step == step + 1, "the whole time was observed"


@pytest.mark.parametrize("step", [2, 3], ids=["observe", "bake"])
def test_the_absence_of_the_operator_does_not_count(step: int) -> None:
    world = at_window(step)
    world.step()
    world.clock.skip(HOUR)
    world.step()
    world.step()
    candidate = world.deployment.status.candidate
    assert candidate is not None
    assert (candidate.step, candidate.verdict) == (step, None)


def test_a_candidate_whose_pods_lost_their_readiness_can_still_be_rolled_back() -> None:
    world = at_window(2)
    world.ask(1000, {revision_of("two"): {"ErrorRate"}})
    lose_readiness(world)
    world.settle()
    entry = world.deployment.status.history[0]
    assert (entry.revision, entry.reason) == (revision_of("two"), "GuardrailFailed")
