"""What the evidence of a window does to a rollout: rollbacks without a comparison, abandoned requests, holds."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_pods import ABANDONED
from support.crds.status import check_status
from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT

STEPS: list[dict[str, Any]] = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 300}}]
ONE, TWO = revision_of("one"), revision_of("two")


def at_window(**rollout: Any) -> RolloutWorld:
    """Return a world whose stable revision is `one`, and whose candidate `two` has a weight of 20."""
    world = RolloutWorld(STEPS, **rollout)
    world.promote_first("one")
    world.ask(1000, start=500_000)
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    return world


def observed(world: RolloutWorld) -> dict[str, Any]:
    status = world.body["status"]
    check_status(ADAPTER_DEPLOYMENT, status)
    candidate: dict[str, Any] = status["candidate"]
    return candidate


@pytest.mark.parametrize("metric", ["ErrorRate", "OutputContract", ABANDONED])
@pytest.mark.parametrize("share", [1, 2], ids=["every request", "every second request"])
def test_a_bad_candidate_is_rolled_back_although_the_incumbent_gets_no_requests(metric: str, share: int) -> None:
    world = at_window(onInconclusive="Promote")
    world.ask_arm("two", 200 // share, {metric})
    world.ask_arm("two", 200 - 200 // share, start=100_000)
    world.settle()
    entry = world.deployment.status.history[0]
    assert (entry.revision, entry.outcome.value, entry.reason) == (TWO, "RolledBack", "GuardrailFailed")
    counted = "abandoned requests" if metric == ABANDONED else "bad answers"
    assert f"{metric}: {counted} {200 // share}/200" in entry.message
    assert "incumbent 0/0, " in entry.message


def test_a_good_candidate_is_not_rolled_back_without_requests_of_the_incumbent() -> None:
    world = at_window()
    world.ask_arm("two", 400)
    decision = world.settle()
    assert world.deployment.status.candidate is not None
    assert decision.wait is not None
    assert "the incumbent has 0 of 40 answers" in decision.wait.message


def test_abandoned_requests_are_compared_with_the_incumbents_and_shown() -> None:
    world = at_window()
    world.ask(100, {TWO: {ABANDONED}, ONE: {ABANDONED}})
    world.settle()
    counts = observed(world)["observed"]
    assert counts["candidate"]["abandoned"] == counts["candidate"]["requests"] > 0
    assert (counts["stable"]["answers"], counts["stable"]["abandoned"] > 50) == (0, True)
    assert world.deployment.status.candidate is not None, "the incumbent's clients leave as often"
    world.ask(1500, {TWO: {ABANDONED}}, start=1000)
    world.settle()
    entry = world.deployment.status.history[0]
    assert entry.reason == "GuardrailFailed"
    assert entry.message.startswith("Abandoned: abandoned requests ")


def test_the_status_shows_the_measured_share_beside_the_weight() -> None:
    world = at_window()
    assert "share" not in observed(world)
    world.ask_arm("two", 20)
    world.ask_arm("one", 60)
    world.settle()
    candidate = observed(world)
    assert (candidate["weight"], candidate["share"]) == (20, "25.0")
    assert candidate["observed"] == {
        "candidate": {"requests": 20, "answers": 20, "abandoned": 0},
        "stable": {"requests": 60, "answers": 60, "abandoned": 0},
    }


@pytest.mark.parametrize("policy", ["Pause", "Rollback", "Promote"])
def test_more_requests_than_the_weight_allows_hold_the_rollout(policy: str) -> None:
    world = at_window(onInconclusive=policy)
    world.ask_arm("two", 300)
    world.ask_arm("one", 60)
    for seconds in (0, 301):
        world.clock.advance(seconds)
        decision = world.settle()
        assert decision.wait is not None
        assert (decision.wait.reason, decision.wait.stalled) == ("ExposureExceeded", True)
        assert "the candidate answers 83.3 % of the requests, more than its weight of 20 %" in decision.wait.message
        assert f"tunewright.dev/promote={TWO}@<request ID>" in decision.wait.message
    assert observed(world)["share"] == "83.3"
    assert "verdict" not in observed(world)
    world.ask_arm("one", 1200, start=100_000)
    decision = world.settle()
    assert decision.wait is not None
    assert decision.wait.reason == "Baking", "the share is by the weight again"


@pytest.mark.parametrize("arm", ["one", "two"])
def test_one_key_with_most_of_an_arm_holds_the_rollout(arm: str) -> None:
    world = at_window()
    world.ask_arm("two", 50)
    world.ask_arm("one", 200)
    session = next(
        name for name in (f"client-{n}" for n in range(99)) if world.pods[0].choose("support", name) == revision_of(arm)
    )
    for _ in range(300 if arm == "one" else 60):
        world.pods[0].ask("support", session)
    decision = world.settle()
    assert decision.wait is not None
    assert (decision.wait.reason, decision.wait.stalled) == ("DominantKey", True)
    assert "which is probably one client" in decision.wait.message
    assert "Let clients send a different session key for each session" in decision.wait.message
    world.annotate("promote", "two")
    decision = world.settle()
    assert decision.wait is not None
    assert decision.wait.reason == "Baking", "a manual request decides"


def test_a_held_rollout_is_still_rolled_back() -> None:
    world = at_window()
    world.ask_arm("two", 300)
    world.ask_arm("one", 60)
    world.settle()
    world.ask_arm("two", 300, {"ErrorRate"}, start=100_000)
    world.settle()
    assert world.deployment.status.history[0].reason == "GuardrailFailed"
