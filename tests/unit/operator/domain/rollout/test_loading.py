"""A rollout while replicas lack an adapter: for a short time, permanently, or until the replicas are replaced."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.rollout_world import RolloutWorld, digest_of, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.rollout.loading import OUTDATED
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_storage.adapter_reasons import AdapterReason

STEPS: list[dict[str, Any]] = [{"evaluate": {}}, {"setWeight": 20}]
TWO = revision_of("two")


def start(**rollout: Any) -> RolloutWorld:
    """Return a world with `one` as stable and `two` in its bake."""
    world = RolloutWorld(STEPS, **rollout)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    assert world.settle().wait.reason == "Baking"
    return world


@pytest.mark.parametrize("policy", ["Pause", "Promote"])
def test_a_bake_does_not_end_while_a_replica_lacks_the_candidate(policy):
    world = start(onInconclusive=policy)
    world.pods[0].retrying[TWO] = "s3://models/team/two: access denied"
    world.pods[0].restart(world.plan)
    world.ask(200, start=1000)
    world.clock.advance(121)
    decision = world.settle()
    assert decision.wait.reason == "LoadingRetried"
    assert "pod-0: AccessDenied" in decision.wait.message
    assert world.stable == revision_of("one")
    world.pods[0].retrying.clear()
    world.pods[0].load()
    world.clock.advance(10)
    world.settle()
    assert world.stable == TWO


def test_a_manual_promotion_ends_a_bake_although_a_replica_lacks_the_adapter():
    world = start()
    world.pods[0].retrying[TWO] = "s3://models/team/two: access denied"
    world.pods[0].restart(world.plan)
    world.annotate("promote", "two")
    world.settle()
    assert world.stable == TWO


def test_what_an_outdated_replica_refuses_is_what_replicas_report():
    assert {AdapterReason.RANK_TOO_HIGH, AdapterReason.INVALID_ENTRY} == OUTDATED


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("RankTooHigh", "the rank 32 is over this server's 16"),
        ("InvalidEntry", f"{TWO} does not end with the first 12 digits"),
    ],
)
def test_a_candidate_that_only_outdated_replicas_refuse_waits_for_new_ones(reason: str, message: str):
    """They have a lower limit of ranks, or are of a release with shorter names of revisions."""
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    for pod in world.pods:
        pod.broken[TWO] = message
        pod.reasons[TWO] = reason
    world.name_adapter("two")
    decision = world.settle()
    assert (decision.wait.reason, decision.wait.stalled) == ("LoadingRetried", False)
    assert f"pod-0: {reason}" in decision.wait.message
    for pod in world.pods:
        pod.broken.clear()
        pod.restart(world.plan)
    assert world.settle().wait.reason == "Evaluating"


def test_a_candidate_is_not_ended_while_some_replicas_refuse_only_its_rank():
    world = RolloutWorld(STEPS)
    world.promote_first("one")
    for pod in world.pods:
        pod.broken[TWO] = "the rank 32 is over this server's 16"
    world.pods[0].reasons[TWO] = "RankTooHigh"
    world.name_adapter("two")
    decision = world.settle()
    assert (decision.wait.reason, decision.wait.stalled) == ("LoadingRetried", True)
    assert world.deployment.status.candidate.ending is None


@pytest.fixture
def world(monkeypatch) -> RolloutWorld:
    """Return a world in which the adapter `copy` has the digest of `two`."""
    monkeypatch.setattr(
        "support.worlds.rollout_world.digest_of", lambda word: digest_of({"copy": "two"}.get(word, word))
    )
    return RolloutWorld(STEPS)


def test_a_candidate_with_a_refused_uri_is_loaded_from_an_allowed_copy(world):
    world.promote_first("one")
    world.server = restrict(world, "s3://models/team/one", "s3://models/team/copy")
    world.name_adapter("two")
    assert world.settle().wait.reason == "SourceNotAllowed"
    world.name_adapter("copy")
    assert world.settle().wait.reason == "Evaluating"
    assert {entry.uri for entry in world.plan.adapters} == {"s3://models/team/one", "s3://models/team/copy"}


def test_a_stable_revision_with_a_refused_uri_is_loaded_from_an_allowed_copy(world):
    world.promote_first("two")
    world.server = restrict(world, "s3://models/team/copy")
    world.settle()
    assert world.ask(1) == [None]
    world.name_adapter("copy")
    world.settle()
    assert world.ask(1) == [TWO]
    assert world.deployment.status.stable.uri == "s3://models/team/copy"
    assert world.deployment.status.candidate is None


def test_an_allowed_uri_is_kept(world):
    world.promote_first("two")
    world.server = restrict(world, "s3://models/team/two")
    world.name_adapter("copy")
    world.settle()
    assert world.ask(1) == [TWO]
    assert world.deployment.status.stable.uri == "s3://models/team/two"


def restrict(world: RolloutWorld, *prefixes: str) -> Any:
    """Return the server with other allowed URIs."""
    return type(world.server)(**{**vars(world.server), "sources": SourcePolicy("serving", prefixes)})
