"""The conditions of an AdapterDeployment: what its alias answers with, and why it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.conditions import AdapterDeploymentCondition, Condition, find_condition
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Decision, Seen, Wait
from tunewright_operator.domain.rollout.status import report
from tunewright_operator.domain.serving.claim import Refusal, Refusals
from tunewright_operator.domain.serving.replica import ServerFacts


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


def unload(facts: ServerFacts) -> ServerFacts:
    pods = tuple(dataclasses.replace(pod, loaded=frozenset()) for pod in facts.pods)
    return dataclasses.replace(facts, pods=pods)


def remove_pods(facts: ServerFacts) -> ServerFacts:
    return dataclasses.replace(facts, pods=())


def refuse(facts: ServerFacts) -> ServerFacts:
    refusal = Refusal(Why.SOURCE_NOT_ALLOWED, "The server does not allow the address.")
    return dataclasses.replace(facts, refusals=Refusals(revisions={revision_of("one"): refusal}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda facts: facts, {"Ready": ("True", "AdapterServing")}),
        (unload, {"Ready": ("False", "Loading"), "Reconciling": ("True", "Loading")}),
        (remove_pods, {"Ready": ("False", "ServerNotReady"), "Reconciling": ("True", "ServerNotReady")}),
        (refuse, {"Ready": ("False", "SourceNotAllowed"), "Stalled": ("True", "SourceNotAllowed")}),
    ],
)
def test_a_stable_adapter_that_does_not_answer_is_reconciling_or_stalled(
    change: Callable[[ServerFacts], ServerFacts], expected: dict[str, tuple[str, str]]
):
    world = RolloutWorld()
    world.promote_first("one")
    situation = world.situation()
    assert isinstance(situation.server, Seen)
    server = dataclasses.replace(situation.server, facts=change(situation.server.facts))
    situation = dataclasses.replace(situation, server=server)
    status = report(situation, decide(situation, world.now), world.now)
    found = {item.type: (item.status, item.reason) for item in status.conditions}
    assert {name: found[name] for name in ("Ready", "Reconciling", "Stalled") if name in found} == expected
