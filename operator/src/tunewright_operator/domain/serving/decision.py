"""Decide about a ModelServer: its objects, the plan that combines its tenants' decisions, and which pods need the plan.

A problem with the spec stops only changes to the server's objects: the server continues to serve its tenants.
"""

from __future__ import annotations

from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.domain.serving.access import AccessDecision, build_access_list, find_pods_without_access
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.claim import ServerView, Tenant, build_tenant, keep_tenant
from tunewright_operator.domain.serving.observation import (
    ApplyChildren,
    CreateSigningKey,
    PushAccess,
    PushPlan,
    ServerAction,
    ServerDecision,
    ServerObservation,
    WriteAccess,
    WritePlan,
)
from tunewright_operator.domain.serving.plan import PlanDecision, build_plan, report_pod
from tunewright_operator.domain.serving.pods import find_pods_without
from tunewright_operator.domain.serving.prerequisites import find_problem


def decide(observation: ServerObservation) -> ServerDecision:
    """Return what to do with a ModelServer now."""
    plan, access = observation.plan, observation.access
    problem = find_problem(observation)
    if not observation.has_signing_key:
        return ServerDecision((CreateSigningKey(),), problem)
    decided = _decide_plan(observation) if plan.problem is None else None
    # First of all: a revoked key must end, whatever else the server needs.
    listed = _decide_access(observation, decided) if access.problem is None else None
    actions = _list_access_actions(observation, listed) if listed is not None else []
    needs_surge = False
    if problem is None:
        needs_surge = _must_hold_update(observation)
        actions.append(ApplyChildren(hold_update=needs_surge))
    if decided is not None:
        if decided.changed or not plan.is_signed:
            actions.append(WritePlan(decided.plan))
        if find_pods_without(decided.plan, observation.pods, observation.states):
            actions.append(PushPlan())
    refusals = None if decided is None else decided.refusals
    return ServerDecision(
        tuple(actions),
        access.problem or plan.problem or problem,
        needs_surge,
        refusals,
        access=None if listed is None else listed.access,
        omitted_clients=frozenset() if listed is None else listed.omitted,
    )


def _decide_access(observation: ServerObservation, decided: PlanDecision | None) -> AccessDecision:
    facts, server = observation.access, observation.server
    plan = decided.plan if decided is not None else observation.plan.plan
    reports = [state.access for state in observation.states.values() if state.access is not None]
    return build_access_list(
        server.metadata.uid,
        facts.clients,
        facts.access,
        reports,
        routes=plan.routes if plan is not None else (),
        labels={tenant.metadata.uid: tenant.metadata.labels for tenant in observation.tenants},
        anonymous=server.spec.clients == "Optional",
        status_generation=server.status.access.generation if server.status.access else 0,
    )


def _list_access_actions(observation: ServerObservation, decision: AccessDecision) -> list[ServerAction]:
    actions: list[ServerAction] = []
    if decision.changed or not observation.access.is_signed:
        actions.append(WriteAccess(decision.access))
    if find_pods_without_access(decision.access, observation.pods, observation.states):
        actions.append(PushAccess())
    return actions


def _must_hold_update(observation: ServerObservation) -> bool:
    """Return whether a changed pod template must wait, because the server has only one pod to answer."""
    spec, deployment = observation.server.spec, observation.deployment
    if deployment is None or not observation.template_changed:
        return False
    return spec.replicas == 1 and deployment.ready_replicas > 0 and spec.update_strategy.max_surge == 0


def _decide_plan(observation: ServerObservation) -> PlanDecision | None:
    """Return the next plan; None while the digest of the base model is unknown."""
    server, previous = observation.server, observation.plan.plan
    digest = observation.base_model.status.digest if observation.base_model is not None else ""
    if previous is not None and not digest:
        digest = previous.base_model_digest
    if not digest:
        return None
    states = observation.states.values()
    last = server.status.plan.generation if server.status.plan else 0
    return build_plan(
        _view_server(server, digest), _build_tenants(observation), previous, [report_pod(item) for item in states], last
    )


def _build_tenants(observation: ServerObservation) -> list[Tenant]:
    """Return the tenants of the plan. A tenant that cannot be read must not stop the pool for the others."""
    previous, states = observation.plan.plan, list(observation.states.values())
    tenants: list[Tenant] = []
    for item in observation.tenants:
        if item.deployment is not None:
            allowed = item.namespace_allowed
            tenants.append(build_tenant(item.deployment, namespace_allowed=allowed, previous=previous, states=states))
            continue
        kept = keep_tenant(item.metadata, previous, namespace_allowed=item.namespace_allowed)
        if kept is not None:
            tenants.append(kept)
    return tenants


def _view_server(server: ModelServer, base_model_digest: str) -> ServerView:
    spec, namespace = server.spec, server.metadata.namespace or ""
    return ServerView(
        uid=server.metadata.uid,
        namespace=namespace,
        served_base_name=spec.base_model_ref.name,
        base_model_digest=base_model_digest,
        max_rank=spec.lora.max_rank,
        max_adapters=spec.lora.max_adapters,
        rollout_slots=spec.lora.rollout_slots,
        sources=SourcePolicy(namespace, tuple(source.uri_prefix for source in spec.adapter_sources)),
        allowed_origins=spec.allowed_origins,
        structured_outputs=spec.structured_outputs == "Allowed",
        evaluation_share_percent=spec.evaluations.max_share_percent,
    )
