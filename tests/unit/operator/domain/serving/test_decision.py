"""`decide` as a table: an observation of a ModelServer, and the actions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import BASE_DIGEST, make_deployment_body
from support.worlds.server_observations import ACCESS, PLAN, PODS, make_base_model, make_model_server, make_state, see
from tunewright_contracts.clients.access_list import ClientEntry, KeyEntry
from tunewright_contracts.serving_plan import AccessState, PlanStatus
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.serving.decision import decide
from tunewright_operator.domain.serving.observation import (
    AccessFacts,
    ApplyChildren,
    CreateSigningKey,
    ObservedTenant,
    PlanFacts,
    PushAccess,
    PushPlan,
    ServerObservation,
    WriteAccess,
    WritePlan,
)
from tunewright_operator.domain.serving.pods import DeploymentFacts

MODEL = make_base_model()
APPLY = ApplyChildren()
HOLD = ApplyChildren(hold_update=True)
WRITE_1, WRITE_3, WRITE_4 = (WritePlan(PLAN.updated(generation=number)) for number in (1, 3, 4))
NO_SECRET = StorageFacts()
TAKEN = Problem(CommonReason.NAME_TAKEN, "ConfigMap serving/pool-plan exists and has another owner.")


def states(a: int = 3, b: int = 3, status: PlanStatus = PlanStatus.APPLIED) -> dict[str, Any]:
    return {"a": make_state("a", a, status), "b": make_state("b", b)}


def single(*, surge: int = 0, ready: int = 1, changed: bool = True) -> ServerObservation:
    """Return a server with one replica, whose template has changed."""
    server = make_model_server(replicas=1, updateStrategy={"maxSurge": surge, "maxUnavailable": 1 - surge})
    deployment = DeploymentFacts(replicas=1, ready_replicas=ready)
    return see(server, deployment=deployment, template_changed=changed, pods=PODS[:1], states={"a": make_state("a")})


NEW = {"deployment": None, "pods": (), "states": {}, "plan": PlanFacts()}
"""A server that was created just now."""
ROWS: dict[str, tuple[ServerObservation, list[Any]]] = {
    "nothing has changed: objects are applied again to correct drift": (see(), [APPLY]),
    "no signing key": (see(has_signing_key=False, states={}), [CreateSigningKey()]),
    "a new server": (see(make_model_server(status={}), **NEW), [APPLY, WRITE_1]),
    "a new server without its Secret has a plan and no pods": (
        see(make_model_server(status={}), storage=NO_SECRET, **NEW),
        [WRITE_1],
    ),
    "a new server without a base model": (see(make_model_server(status={}), base_model=None, **NEW), []),
    "a new server whose base model is not inspected": (
        see(make_model_server(status={}), base_model=make_base_model(""), **NEW),
        [],
    ),
    "a serving server without its Secret": (see(storage=NO_SECRET), []),
    "a serving server without its Secret reaches a pod that lags": (
        see(storage=NO_SECRET, states=states(b=2)),
        [PushPlan()],
    ),
    "a serving server whose base model is gone": (see(base_model=None), []),
    "another template, and another pod serves": (see(template_changed=True), [APPLY]),
    "another template for the only pod": (single(), [HOLD]),
    "another template for the only pod, with surge": (single(surge=1), [APPLY]),
    "another template for the only pod, which is not ready": (single(ready=0), [APPLY]),
    "the same template for the only pod": (single(changed=False), [APPLY]),
    "another template for a missing Deployment": (
        dataclasses.replace(single(), deployment=None),
        [APPLY],
    ),
    "a deleted plan is written above the status": (see(plan=PlanFacts()), [APPLY, WRITE_4, PushPlan()]),
    "a plan that is signed by an earlier key": (see(plan=PlanFacts(PLAN)), [APPLY, WRITE_3]),
    "a restored older plan is replaced by a higher generation": (
        see(plan=PlanFacts(PLAN.updated(generation=2), is_signed=True)),
        [APPLY, WRITE_4, PushPlan()],
    ),
    "a pod with a plan of another history": (
        see(states=states(b=9)),
        [APPLY, WritePlan(PLAN.updated(generation=10)), PushPlan()],
    ),
    "a conflict in a pod": (see(states=states(status=PlanStatus.CONFLICT)), [APPLY, WRITE_4, PushPlan()]),
    "a pod that lags": (see(states=states(b=2)), [APPLY, PushPlan()]),
    "a pod that has no plan": (see(states=states(a=0, status=PlanStatus.NONE)), [APPLY, PushPlan()]),
    "a pod that refused the plan does not get it again": (see(states=states(status=PlanStatus.REFUSED)), [APPLY]),
    "a pod that does not answer gets no plan": (
        see(plan=PlanFacts(PLAN.updated(generation=2), is_signed=True), states={}),
        [APPLY, WRITE_4],
    ),
    "other allowed origins are a new plan, and no new pods": (
        see(make_model_server(allowedOrigins=["https://chat.example.com"])),
        [APPLY, WritePlan(PLAN.updated(generation=4, allowed_origins=("https://chat.example.com",))), PushPlan()],
    ),
    "allowed structured outputs are a new plan, and no new pods": (
        see(make_model_server(structuredOutputs="Allowed")),
        [APPLY, WritePlan(PLAN.updated(generation=4, structured_outputs=True)), PushPlan()],
    ),
    "another share of evaluations is a new plan, and no new pods": (
        see(make_model_server(evaluations={"maxSharePercent": 20})),
        [APPLY, WritePlan(PLAN.updated(generation=4, evaluation_share_percent=20)), PushPlan()],
    ),
    "a plan's ConfigMap of another owner is neither written nor pushed": (
        see(plan=PlanFacts(problem=TAKEN), states=states(b=2)),
        [APPLY],
    ),
}


CLIENT = ModelClient.from_body(
    {
        "metadata": {"name": "web", "namespace": "support", "uid": "client-uid"},
        "spec": {"keys": [{"id": "7Kp2mX9bT4cQ", "sha256": "9f" * 32}], "aliases": {"all": True}},
    }
)
ENTRY = ClientEntry(
    namespace="support", name="web", keys=(KeyEntry(id="7Kp2mX9bT4cQ", sha256="9f" * 32),), all_aliases=True
)
APPLIED = AccessState(generation=3, hash=ACCESS.content_hash, status=PlanStatus.APPLIED)
WRITE_ACCESS_4 = WriteAccess(ACCESS.updated(generation=4, clients=(ENTRY,)))


def reports(a: AccessState = APPLIED, b: AccessState = APPLIED) -> dict[str, Any]:
    return {uid: state.updated(access=report) for (uid, state), report in zip(states().items(), (a, b), strict=True)}


ROWS |= {
    "pods that have the access list": (see(states=reports()), [APPLY]),
    "a pod that lacks the access list": (see(states=reports(b=AccessState())), [PushAccess(), APPLY]),
    "the first access list": (
        see(access=AccessFacts(), states=reports(AccessState(), AccessState())),
        [WriteAccess(ACCESS.updated(generation=1)), PushAccess(), APPLY],
    ),
    "a new client comes before everything else": (
        see(access=AccessFacts(ACCESS, is_signed=True, clients=(CLIENT,)), states=reports()),
        [WRITE_ACCESS_4, PushAccess(), APPLY],
    ),
    "a revoked key ends although the server has a problem": (
        see(
            access=AccessFacts(WRITE_ACCESS_4.access, is_signed=True),
            states=reports(),
            storage=NO_SECRET,
            base_model=None,
            plan=PlanFacts(problem=TAKEN),
        ),
        [WriteAccess(ACCESS.updated(generation=5)), PushAccess()],
    ),
    "an access list that is signed by an earlier key": (see(access=AccessFacts(ACCESS)), [WriteAccess(ACCESS), APPLY]),
    "a deleted access list is written above what the pods have": (
        see(access=AccessFacts(), states=reports()),
        [WriteAccess(ACCESS.updated(generation=4)), PushAccess(), APPLY],
    ),
    "requests without a key are a matter of the access list": (
        see(make_model_server(clients="Optional"), states=reports()),
        [WriteAccess(ACCESS.updated(generation=4, anonymous=True)), PushAccess(), APPLY],
    ),
    "an access list's ConfigMap of another owner is neither written nor pushed": (
        see(access=AccessFacts(problem=TAKEN), states=reports(b=AccessState())),
        [APPLY],
    ),
}


@pytest.mark.parametrize(("observation", "actions"), ROWS.values(), ids=ROWS.keys())
def test_decide(observation: ServerObservation, actions: list[Any]):
    assert list(decide(observation).actions) == actions


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (see(), None),
        (see(base_model=None), "BaseModelNotFound"),
        (see(base_model=make_base_model("")), "BaseModelNotReady"),
        (see(storage=NO_SECRET), "SecretNotFound"),
        (see(storage=StorageFacts(secret=UseFacts(exists=True))), "SecretNotAllowed"),
        (see(plan=PlanFacts(problem=TAKEN)), "NameTaken"),
        (see(storage=NO_SECRET, plan=PlanFacts(problem=TAKEN)), "NameTaken"),
        (see(storage=NO_SECRET, access=AccessFacts(problem=TAKEN)), "NameTaken"),
        (see(storage=NO_SECRET, has_signing_key=False), "SecretNotFound"),
    ],
)
def test_the_problem_that_prevents_a_server_is_reported(observation: ServerObservation, reason: str | None):
    problem = decide(observation).problem
    assert (problem and problem.reason.value) == reason


@pytest.mark.parametrize(("observation", "needed"), [(single(), True), (single(surge=1), False), (see(), False)])
def test_a_held_update_needs_surge(observation: ServerObservation, needed: bool):
    assert decide(observation).needs_surge == needed


def tenant(*, allowed: bool = True, readable: bool = True) -> ObservedTenant:
    body = make_deployment_body(Clock())
    deployment = AdapterDeployment.from_body(body) if readable else None
    return ObservedTenant(Metadata.model_validate(body["metadata"]), namespace_allowed=allowed, deployment=deployment)


@pytest.mark.parametrize(("allowed", "aliases"), [(True, ["support"]), (False, [])])
def test_a_tenant_of_an_admitted_namespace_gets_its_route(allowed: bool, aliases: list[str]):
    decision = decide(see(tenants=(tenant(allowed=allowed),)))
    written = [action.plan for action in decision.actions if isinstance(action, WritePlan)]
    assert [route.alias for plan in written for route in plan.routes] == aliases
    assert set(decision.refusals) == (set() if allowed else {"deployment-uid"})


def test_a_tenant_that_cannot_be_read_keeps_its_route():
    first = decide(see(tenants=(tenant(),)))
    (plan,) = [action.plan for action in first.actions if isinstance(action, WritePlan)]
    later = see(tenants=(tenant(readable=False),), plan=PlanFacts(plan, is_signed=True), states=states(a=4, b=4))
    assert decide(later).actions == (APPLY,)
    stranger = decide(see(tenants=(tenant(readable=False),)))
    assert stranger.actions == (APPLY,), "a tenant that was never served gets no route"


def test_without_a_decided_plan_refusals_are_unknown():
    assert decide(see(plan=PlanFacts(problem=TAKEN))).refusals is None
    assert decide(see(make_model_server(status={}), base_model=None, **NEW)).refusals is None
    assert decide(see()).refusals == {}


def test_a_server_without_its_base_model_continues_with_the_weights_of_its_pods():
    decision = decide(see(base_model=None, tenants=(tenant(),)))
    (plan,) = [action.plan for action in decision.actions if isinstance(action, WritePlan)]
    assert plan.base_model_digest == BASE_DIGEST
