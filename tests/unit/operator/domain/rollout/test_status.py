"""The conditions and the convergence of an AdapterDeployment: what its alias answers with, and why it does not."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from support.crds.status import check_kstatus, check_status
from support.worlds.rollout_world import BASE_DIGEST, RolloutWorld, digest_of, make_situation, revision_of
from tunewright_contracts.reasons import Reason
from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus
from tunewright_operator.api.conditions import AdapterDeploymentCondition, Condition, find_condition
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Decision, Missing, Seen, Situation, Unseen, Wait
from tunewright_operator.domain.rollout.status import report
from tunewright_operator.domain.serving.claim import Refusal, Refusals
from tunewright_operator.domain.serving.replica import PodView, ServerFacts


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


NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
TIME = "2026-01-01T00:00:00Z"


def revision(name: str) -> dict[str, Any]:
    return {"revision": name, "digest": digest_of(name), "uri": "u", "rank": 8, "baseModelDigest": BASE_DIGEST}


STABLE = {"stable": {**revision("old"), "since": TIME}}
CANDIDATE = {"candidate": {**revision("new"), "acceptedAt": TIME, "weight": 20, "reasons": ["4 of 40 answers"]}}


def ended(outcome: str) -> dict[str, Any]:
    entry = {**revision("new"), "outcome": outcome, "reason": "GuardrailFailed", "message": "too many errors"}
    return {"history": [{**entry, "from": TIME, "to": TIME}]}


def ending(outcome: str) -> dict[str, Any]:
    why = {"outcome": outcome, "reason": "GuardrailFailed", "message": "too many errors"}
    return {"candidate": {**CANDIDATE["candidate"], "ending": why}}


def seen(*pods: PodView, targets: dict[str, int] | None = None, **changes: Any) -> Seen:
    return Seen(ServerFacts(3, {"old": 100} if targets is None else targets, pods, **changes), "uid", "http://pool")


def pod(*loaded: str, ready: bool = True, name: str = "pool-1") -> PodView:
    return PodView(name, name, ready=ready, loaded=frozenset(loaded))


def see(status: dict[str, Any], server: Missing | Unseen | Seen | None = None) -> Situation:
    return make_situation(status=status, server=server or seen(pod("old", "new")))


def conclude(
    situation: Situation, wait: Wait | None = None, *, again: bool = False, refused: Problem | None = None
) -> AdapterDeploymentStatus:
    """Report a decision that keeps the status; the result must be one that the API server and kstatus accept."""
    status = report(situation, Decision(situation.status, wait=wait, again=again), NOW, refused)
    check_status(ADAPTER_DEPLOYMENT, {"conditions": status.to_status()["conditions"]})
    check_kstatus({"metadata": {"generation": 1}}, status.to_status())
    return status


def get(status: AdapterDeploymentStatus, kind: str) -> tuple[str, str]:
    (found,) = [condition for condition in status.conditions if condition.type == kind] or [None]
    return (found.status, found.reason) if found else ("", "")


BAKING, STALLED = Wait(Why.BAKING, "Baking."), Wait(Why.NO_EVALUATION_DATASET, "Set it.", stalled=True)
NOT_ALLOWED = Refusal(Why.SOURCE_NOT_ALLOWED, "not below a prefix")
LAST_READY = {
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "AdapterServing", "lastTransitionTime": TIME, "message": "Good."}
    ]
}
READY_ROWS = [
    ("no adapter", see({}), None, "False", "NoAdapterYet"),
    ("no adapter, and a problem", see({}), STALLED, "False", "NoEvaluationDataset"),
    ("the stable revision is loaded", see(STABLE), None, "True", "AdapterServing"),
    ("its pod is not ready", see(STABLE, seen(pod("old", ready=False))), None, "False", "ServerNotReady"),
    ("there is no pod", see(STABLE, seen()), BAKING, "False", "ServerNotReady"),
    ("one pod lacks it", see(STABLE, seen(pod("old"), pod("new"))), None, "False", "Loading"),
    ("only an unready pod lacks it", see(STABLE, seen(pod("old"), pod(ready=False))), None, "True", "AdapterServing"),
    ("a canary that a pod lacks", see(STABLE | CANDIDATE, seen(pod("old"))), None, "True", "AdapterServing"),
    ("a canary, and a pod lacks the incumbent", see(STABLE | CANDIDATE, seen(pod("new"))), None, "False", "Loading"),
    (
        "the alias is refused",
        see(STABLE, seen(pod("old"), refusals=Refusals(alias=NOT_ALLOWED))),
        None,
        "False",
        "SourceNotAllowed",
    ),
    (
        "the stable revision is refused",
        see(STABLE, seen(pod("old"), refusals=Refusals(revisions={"old": NOT_ALLOWED}))),
        None,
        "False",
        "SourceNotAllowed",
    ),
    (
        "only the candidate is refused",
        see(STABLE | CANDIDATE, seen(pod("old"), refusals=Refusals(revisions={"new": NOT_ALLOWED}))),
        None,
        "True",
        "AdapterServing",
    ),
    ("the server is missing", see(STABLE, Missing()), Wait(Why.SERVER_NOT_FOUND, "x"), "False", "ServerNotFound"),
    ("the server was not observed yet", see(STABLE, Unseen()), None, "False", "ServerNotReady"),
    ("it was ready before", see(STABLE | LAST_READY, Unseen()), None, "True", "AdapterServing"),
]


@pytest.mark.parametrize(
    ("situation", "wait", "status", "reason"), [row[1:] for row in READY_ROWS], ids=[row[0] for row in READY_ROWS]
)
def test_ready_shows_whether_clients_get_answers(
    situation: Situation, wait: Wait | None, status: str, reason: str
) -> None:
    assert get(conclude(situation, wait), "Ready") == (status, reason)


def test_a_message_about_missing_adapters_names_revision_and_pods() -> None:
    server = seen(pod("old"), pod(name="pool-2"), pod(name="pool-3"))
    (ready,) = [item for item in conclude(see(STABLE, server)).conditions if item.type == "Ready"]
    assert "old" in ready.message
    assert "pool-2, pool-3" in ready.message


@pytest.mark.parametrize(
    ("situation", "wait", "progressing", "candidate_healthy"),
    [
        (see(STABLE), None, ("False", "NoCandidate"), ("True", "CandidateHealthy")),
        (see(STABLE), STALLED, ("False", "NoEvaluationDataset"), ("True", "CandidateHealthy")),
        (see(STABLE | CANDIDATE), None, ("True", "Accepted"), ("True", "CandidateHealthy")),
        (see(STABLE | CANDIDATE), BAKING, ("True", "Baking"), ("True", "CandidateHealthy")),
        (see(STABLE | CANDIDATE), STALLED, ("False", "NoEvaluationDataset"), ("True", "CandidateHealthy")),
        (see(STABLE | ending("RolledBack")), BAKING, ("True", "Baking"), ("False", "GuardrailFailed")),
        (see(STABLE | ending("Superseded")), BAKING, ("True", "Baking"), ("True", "CandidateHealthy")),
        (see(STABLE | ended("RolledBack")), None, ("False", "NoCandidate"), ("False", "GuardrailFailed")),
        (see(STABLE | ended("Aborted")), None, ("False", "NoCandidate"), ("False", "GuardrailFailed")),
        (see(STABLE | ended("Superseded")), None, ("False", "NoCandidate"), ("True", "CandidateHealthy")),
        (see(STABLE | ended("Promoted")), None, ("False", "NoCandidate"), ("True", "CandidateHealthy")),
        (see(STABLE | CANDIDATE | ended("RolledBack")), None, ("True", "Accepted"), ("True", "CandidateHealthy")),
    ],
)
def test_the_conditions_about_the_candidate(
    situation: Situation, wait: Wait | None, progressing: tuple[str, str], candidate_healthy: tuple[str, str]
) -> None:
    status = conclude(situation, wait)
    assert get(status, "Progressing") == progressing
    assert get(status, "CandidateHealthy") == candidate_healthy


REFUSED = Problem(CommonReason.JOB_REFUSED, "exceeded quota")


@pytest.mark.parametrize(
    ("situation", "wait", "again", "refused", "stalled", "reconciling"),
    [
        (see(STABLE), None, False, None, "", ""),
        (see(STABLE), None, True, None, "", "Accepted"),
        (see(STABLE | CANDIDATE), None, False, None, "", "Accepted"),
        (see(STABLE | CANDIDATE), BAKING, False, None, "", "Baking"),
        (see(STABLE | CANDIDATE), STALLED, False, None, "NoEvaluationDataset", ""),
        (see(STABLE | CANDIDATE), BAKING, False, REFUSED, "JobRefused", ""),
    ],
)
def test_at_most_one_of_stalled_and_reconciling_is_present(
    situation: Situation, wait: Wait | None, again: bool, refused: Problem | None, stalled: str, reconciling: str
) -> None:
    status = conclude(situation, wait, again=again, refused=refused)
    assert get(status, "Stalled") == (("True", stalled) if stalled else ("", ""))
    assert get(status, "Reconciling") == (("True", reconciling) if reconciling else ("", ""))


def at(generation: int, *, ready: bool = True) -> PodView:
    state = PodState(pod_uid="p", boot_id="b", plan_generation=generation)
    return PodView("p", "p", ready=ready, state=state)


LAST = {"convergence": {"desired": 5, "converged": 4}}


@pytest.mark.parametrize(
    ("server", "counts"),
    [
        (seen(at(3), at(3)), (2, 2)),
        (seen(at(3), at(2)), (2, 1)),
        (seen(at(3), at(2, ready=False)), (1, 1)),
        (seen(at(3), targets={"old": 50, "other": 50}), (1, 0)),
        (seen(), (0, 0)),
        (Missing(), (0, 0)),
        (Unseen(), (5, 4)),
    ],
)
def test_convergence_counts_the_ready_replicas_that_have_the_plan(
    server: Missing | Unseen | Seen, counts: tuple[int, int]
) -> None:
    convergence = conclude(see(STABLE | LAST, server)).convergence
    assert convergence is not None
    assert (convergence.desired, convergence.converged) == counts


def test_the_status_names_the_observed_generation() -> None:
    assert conclude(see(STABLE)).observed_generation == 1
