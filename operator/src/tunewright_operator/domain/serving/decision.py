"""Decide about a ModelServer: its objects, the plan that combines its tenants' decisions, and which pods need the plan.

A problem with the spec stops only changes to the server's objects: the server continues to serve its tenants.
"""

from __future__ import annotations

from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.claim import ServerView, Tenant, build_tenant, keep_tenant
from tunewright_operator.domain.serving.observation import (
    ApplyChildren,
    CreateSigningKey,
    PushPlan,
    ServerAction,
    ServerDecision,
    ServerObservation,
    WritePlan,
)
from tunewright_operator.domain.serving.plan import PlanDecision, build_plan, report_pod
from tunewright_operator.domain.serving.pods import find_pods_without
from tunewright_operator.domain.serving.prerequisites import find_problem


def decide(observation: ServerObservation) -> ServerDecision:
    """Return what to do with a ModelServer now."""
    plan = observation.plan
    problem = find_problem(observation)
    if not observation.has_signing_key:
        return ServerDecision((CreateSigningKey(),), problem)
    actions: list[ServerAction] = []
    needs_surge = False
    if problem is None:
        needs_surge = _must_hold_update(observation)
        actions.append(ApplyChildren(hold_update=needs_surge))
    decided = _decide_plan(observation) if plan.problem is None else None
    if decided is not None:
        if decided.changed or not plan.is_signed:
            actions.append(WritePlan(decided.plan))
        if find_pods_without(decided.plan, observation.pods, observation.states):
            actions.append(PushPlan())
    refusals = None if decided is None else decided.refusals
    return ServerDecision(tuple(actions), plan.problem or problem, needs_surge, refusals)


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
