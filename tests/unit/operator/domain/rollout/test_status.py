"""The conditions of an AdapterDeployment: what its alias answers with, and why it does not."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.conditions import AdapterDeploymentCondition, Condition, find_condition
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.observation import Decision, Wait
from tunewright_operator.domain.rollout.status import report


def find(world: RolloutWorld, kind: str, reason: Reason, message: str) -> Condition:
    """Return a condition of a deployment that waits."""
    decision = Decision(world.deployment.status, wait=Wait(reason, message))
    found = find_condition(report(world.situation(), decision, world.now).conditions, kind)
    assert found is not None
    return found


@pytest.mark.parametrize("message", ["The ModelServer has no ready replica.", "the ModelServer has no ready replica"])
def test_an_alias_without_an_adapter_says_what_clients_get_and_then_what_it_waits_for(message):
    ready = find(RolloutWorld(), AdapterDeploymentCondition.READY, Why.SERVER_NOT_READY, message)
    assert (ready.status, ready.reason) == ("False", "NoAdapterYet")
    assert ready.message == "No adapter answers yet: clients get 503. The ModelServer has no ready replica."


def test_an_alias_that_is_served_says_by_what():
    world = RolloutWorld([{"pause": {}}])
    world.promote_first("one")
    ready = find(world, AdapterDeploymentCondition.READY, Why.PAUSED, "spec.paused is true")
    assert (ready.status, ready.reason) == ("True", "AdapterServing")
    assert ready.message == f"Every ready replica answers with {revision_of('one')} (100 %)."
