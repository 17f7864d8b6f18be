"""From an AdapterDeployment to its part of the serving plan, and from plan and pods back to what its rollout sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import (
    AdapterPhase,
    AdapterState,
    OutputContract,
    PlanStatus,
    PodState,
    ServingPlan,
    StickyKey,
)
from tunewright_operator.api.adapter_deployment import AdapterDeployment, Revision
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.evidence.window import derive_slow_limit
from tunewright_operator.domain.rollout.observation import PodView, ServerFacts
from tunewright_operator.domain.serving.aliases import AliasClaim
from tunewright_operator.domain.serving.claim import PlannedRevision, Refusals, Tenant
from tunewright_operator.domain.serving.plan import PodReport
from tunewright_operator.domain.serving.weights import desired_targets


def build_tenant(
    deployment: AdapterDeployment, *, namespace_allowed: bool, previous: ServingPlan | None, states: Sequence[PodState]
) -> Tenant:
    """Return what a deployment wants of the plan. A limit on slowness stays the one that the rollout's first plan got."""
    spec, status, metadata = deployment.spec, deployment.status, deployment.metadata
    weights = desired_targets(status)
    salt = rollout_salt(deployment)
    contract = spec.output_contract
    return Tenant(
        claim=AliasClaim(
            metadata.uid, metadata.namespace or "", metadata.name, metadata.creation_timestamp, spec.model_name
        ),
        namespace_allowed=namespace_allowed,
        stable=_plan_revision(status.stable, weights),
        candidate=_plan_revision(status.candidate, weights),
        sticky_by=tuple(StickyKey(header=key.header, body_field=key.body_field) for key in spec.rollout.sticky_by),
        output_contract=OutputContract(json_schema=contract.json_schema, max_tokens=contract.max_tokens)
        if contract is not None
        else None,
        slow_after_milliseconds=_fix_slow_limit(deployment, salt, previous, states) if salt else None,
        count_by_key_bucket=bool(salt),
        salt=salt,
    )


def keep_tenant(metadata: Metadata, previous: ServingPlan | None, *, namespace_allowed: bool) -> Tenant | None:
    """Return the tenant of a deployment of which nothing but the metadata can be read: as in the last plan, or not at all."""
    route = next((route for route in previous.routes if route.owner_uid == metadata.uid), None) if previous else None
    if route is None:
        return None
    claim = AliasClaim(metadata.uid, route.namespace, metadata.name, metadata.creation_timestamp, route.alias)
    return Tenant(claim=claim, namespace_allowed=namespace_allowed, kept_route=route)


def rollout_salt(deployment: AdapterDeployment) -> str:
    """Return what names the current rollout, so that each draws its own sample of sessions; empty without a candidate."""
    candidate = deployment.status.candidate
    if candidate is None:
        return ""
    text = f"{deployment.metadata.uid} {candidate.digest} {candidate.accepted_at}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_server_facts(
    deployment_uid: str, alias: str, plan: ServingPlan, pods: Sequence[PodView], refusals: Refusals | None
) -> ServerFacts:
    """Return what a deployment's rollout sees of its server."""
    route = next((route for route in plan.routes if route.alias == alias and route.owner_uid == deployment_uid), None)
    return ServerFacts(
        generation=plan.generation,
        targets=None if route is None else {target.name: target.weight for target in route.targets},
        pods=tuple(pods),
        refusals=refusals or Refusals(),
        slow_after_milliseconds=route.slow_after_milliseconds if route else None,
    )


def view_pod(uid: str, name: str, *, ready: bool, state: PodState | None) -> PodView:
    """Return one pod as rollouts see it."""
    adapters = state.adapters if state else ()
    return PodView(
        uid=uid,
        name=name,
        ready=ready,
        state=state,
        loaded=frozenset(adapter.name for adapter in adapters if adapter.phase is AdapterPhase.LOADED),
        failed=_list_problems(adapters, AdapterPhase.FAILED),
        retried=_list_problems(adapters, AdapterPhase.RETRYING),
    )


def _list_problems(adapters: Sequence[AdapterState], phase: AdapterPhase) -> dict[str, str]:
    return {adapter.name: f"{adapter.reason}: {adapter.message}" for adapter in adapters if adapter.phase is phase}


def report_pod(state: PodState) -> PodReport:
    """Return one pod as plans see it."""
    in_flight = {adapter.name: adapter.in_flight for adapter in state.adapters if adapter.in_flight}
    return PodReport(state.plan_generation, conflict=state.plan_status is PlanStatus.CONFLICT, in_flight=in_flight)


def _plan_revision(revision: Revision | None, weights: Mapping[str, int]) -> PlannedRevision | None:
    if revision is None:
        return None
    return PlannedRevision(
        name=revision.revision,
        digest=revision.digest,
        uri=revision.uri,
        rank=revision.rank,
        base_model_digest=revision.base_model_digest,
        weight=weights.get(revision.revision, 0),
    )


def _fix_slow_limit(
    deployment: AdapterDeployment, salt: str, previous: ServingPlan | None, states: Sequence[PodState]
) -> int | None:
    """Return the limit of this rollout's earlier plan, or a new one from the incumbent's answers so far.

    It never changes once it is there: an answer must be judged by a limit that was fixed before the window.
    """
    alias = deployment.spec.model_name
    for route in previous.routes if previous else ():
        if route.alias == alias and route.salt == salt and route.slow_after_milliseconds is not None:
            return route.slow_after_milliseconds
    stable = deployment.status.stable
    ratios = [metric.max_ratio for metric in deployment.spec.analysis.metrics if metric.type is LiveMetricType.LATENCY]
    if stable is None or not ratios or ratios[0] is None:
        return None
    return derive_slow_limit(states, alias, stable.revision, float(ratios[0]))
