"""The serving plan of one ModelServer: a pure function of its deployments, the last written plan and its pods' reports.

Order of a change: load everywhere → shift weight → stop routing → drain → unload. Loading comes before weight, since a
rollout gives weight only to what is loaded. An adapter leaves the plan only after three things: the previous plan
routes no requests to it, every pod has that plan, and no request in flight uses the adapter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tunewright_contracts.serving_plan import (
    MAX_PLAN_BYTES,
    AdapterEntry,
    PlanStatus,
    PodState,
    Route,
    ServingPlan,
    Target,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.serving.admission import admit, is_known
from tunewright_operator.domain.serving.claim import PlannedRevision, Refusal, Refusals, ServerView, Tenant
from tunewright_operator.domain.serving.kept_route import list_kept
from tunewright_operator.domain.serving.numbering import SIGNATURE_OVERHEAD_BYTES, number
from tunewright_operator.domain.serving.pods import trust_generation
from tunewright_operator.domain.serving.slots import SlotRequest, Standing, grant_slots


@dataclasses.dataclass(frozen=True)
class PodReport:
    """What the next plan depends on in the state of one pod."""

    generation: int
    conflict: bool = False
    in_flight: Mapping[str, int] = dataclasses.field(default_factory=dict)


def report_pod(state: PodState) -> PodReport:
    """Return the part of a pod's state that plans depend on."""
    in_flight = {adapter.name: adapter.in_flight for adapter in state.adapters if adapter.in_flight}
    generation = trust_generation(state.plan_generation)
    return PodReport(generation, conflict=state.plan_status is PlanStatus.CONFLICT, in_flight=in_flight)


@dataclasses.dataclass(frozen=True)
class PlanDecision:
    """The plan that pods should have.

    ``changed``: it is a new generation, which must be written; otherwise it is the last plan again.
    """

    plan: ServingPlan
    changed: bool
    refusals: Mapping[str, Refusals]
    """By deployment UID; a deployment without refusals is left out."""


def build_plan(
    server: ServerView,
    tenants: Sequence[Tenant],
    previous: ServingPlan | None,
    pods: Sequence[PodReport],
    status_generation: int = 0,
) -> PlanDecision:
    """Return the next plan: what to load and how to route, and what each deployment was refused.

    Args:
        server: what the pool offers.
        tenants: every deployment that names the server, allowed or not.
        previous: the plan in the ConfigMap, as read now.
        pods: the reports of the pods that answered.
        status_generation: the highest generation in the ModelServer's status.
    """
    admission = admit(server, tenants, previous)
    refusals = dict(admission.refusals)
    admitted = list(admission.tenants)
    while True:
        content, slot_refusals = _compose(server, admitted, previous, pods)
        if not admitted or _written_bytes(content) <= MAX_PLAN_BYTES:
            break
        last = max(admitted, key=lambda tenant: _rank_for_room(tenant, previous))
        admitted.remove(last)
        refusals[last.claim.uid] = Refusals(
            alias=Refusal(
                Why.PLAN_TOO_LARGE,
                f"With {last.claim.alias!r}, the server's plan would exceed {MAX_PLAN_BYTES // 1024} KiB. Shorten"
                " outputContract.jsonSchema, or use another ModelServer.",
            )
        )
    for tenant in admitted:
        found = {**admission.revisions.get(tenant.claim.uid, {}), **slot_refusals.get(tenant.claim.uid, {})}
        if found:
            refusals[tenant.claim.uid] = Refusals(revisions=found)
    plan, changed = number(
        content,
        previous,
        (pod.generation for pod in pods),
        status_generation,
        disputed=any(pod.conflict for pod in pods),
    )
    return PlanDecision(plan=plan, changed=changed, refusals=refusals)


def keep_loaded(previous: ServingPlan | None, pods: Sequence[PodReport]) -> frozenset[str]:
    """Return the adapters of the last plan that a new plan must still contain, wanted or not.

    The last plan routes to them, a pod with an older plan may route to them, or they have requests in flight.
    """
    if previous is None:
        return frozenset()
    routed = {target.name for route in previous.routes for target in route.targets}
    lagging = any(pod.generation < previous.generation for pod in pods)
    in_use = {name for pod in pods for name, count in pod.in_flight.items() if count > 0}
    loaded = {adapter.name for adapter in previous.adapters}
    return frozenset(name for name in loaded if lagging or name in routed or name in in_use)


def _rank_for_room(tenant: Tenant, previous: ServingPlan | None) -> tuple[bool, int, tuple[str, str, str]]:
    """Return the sort key that decides which tenant leaves a plan that is too large: the highest does.

    This is the newest tenant that is not served yet, or otherwise the one with the largest route. A large contract in a
    deployment that is served must not remove another tenant's deployment from the plan.
    """
    if not is_known(tenant, previous):
        return (True, 0, tenant.claim.precedence)
    return (False, len(_build_route(tenant).to_json()), tenant.claim.precedence)


def _compose(
    server: ServerView, tenants: Sequence[Tenant], previous: ServingPlan | None, pods: Sequence[PodReport]
) -> tuple[ServingPlan, dict[str, dict[str, Refusal]]]:
    """Return the plan's content (its generation is 1) and the candidates that wait for a slot."""
    before = {entry.name: entry for entry in previous.adapters} if previous else {}
    kept = keep_loaded(previous, pods)
    for tenant in tenants:
        kept |= list_kept(server, tenant, before)
    entries: dict[str, AdapterEntry] = {name: entry for name, entry in before.items() if name in kept}
    requests = [SlotRequest(name, Standing.DRAINING) for name in entries]
    for tenant in tenants:
        for revision in (tenant.stable, tenant.candidate):
            if revision is None:
                continue
            entries[revision.name] = _build_entry(tenant, revision)
            standing = _stand(tenant, revision, before)
            requests.append(SlotRequest(revision.name, standing, tenant.claim.precedence))
    capacity = server.max_adapters + server.rollout_slots
    granted = grant_slots(requests, capacity)
    waiting: dict[str, dict[str, Refusal]] = {}
    for tenant in tenants:
        for revision in (tenant.stable, tenant.candidate):
            if revision is not None and revision.name not in granted:
                message = (
                    f"All {capacity} adapter slots of the server (spec.lora.maxAdapters + rolloutSlots) are in use;"
                    " the candidate waits until another rollout ends."
                )
                waiting.setdefault(tenant.claim.uid, {})[revision.name] = Refusal(Why.WAITING_FOR_SLOT, message)
    used = {name: entry for name, entry in entries.items() if name in granted}
    plan = ServingPlan(
        server_uid=server.uid,
        generation=1,
        base_model_digest=server.base_model_digest,
        adapters=tuple(used[name] for name in sorted(used)),
        routes=tuple(sorted((_build_route(tenant) for tenant in tenants), key=lambda route: route.alias)),
        adapter_sources=server.sources.list_for_plan([(entry.namespace, entry.uri) for entry in used.values()]),
        allowed_origins=tuple(sorted(server.allowed_origins)) or None,
        structured_outputs=server.structured_outputs or None,
        evaluation_share_percent=server.evaluation_share_percent,
    )
    return plan, waiting


def _stand(tenant: Tenant, revision: PlannedRevision, before: Mapping[str, AdapterEntry]) -> Standing:
    if revision is tenant.stable or revision.weight > 0:
        return Standing.ROUTED
    if revision.name in before:
        return Standing.LOADED_CANDIDATE
    return Standing.NEW if tenant.stable is None else Standing.CANDIDATE


def _build_entry(tenant: Tenant, revision: PlannedRevision) -> AdapterEntry:
    return AdapterEntry(
        name=revision.name,
        digest=revision.digest,
        uri=revision.uri,
        rank=revision.rank,
        namespace=tenant.claim.namespace,
        stop_token_ids=revision.stop_token_ids,
    )


def _build_route(tenant: Tenant) -> Route:
    """Return the alias' route.

    A revision without weight is left out: as a target, it would answer when the other one is not loaded.
    """
    if tenant.kept_route is not None:
        return tenant.kept_route
    weighted = [revision for revision in (tenant.stable, tenant.candidate) if revision and revision.weight > 0]
    if tenant.candidate is None and tenant.stable is not None:
        # Also in a bake, where the stable revision has no weight but is still loaded: the candidate was refused.
        weighted = [dataclasses.replace(tenant.stable, weight=100)]
    elif sum(revision.weight for revision in weighted) != 100:
        weighted = []  # The stable revision was refused: a candidate without a verdict must not answer all clients.
    return Route(
        alias=tenant.claim.alias,
        namespace=tenant.claim.namespace,
        owner_uid=tenant.claim.uid,
        targets=tuple(Target(name=revision.name, weight=revision.weight) for revision in weighted),
        fallback=weighted[0].name if len(weighted) > 1 else "",
        sticky_by=tenant.sticky_by,
        output_contract=tenant.output_contract,
        slow_after_milliseconds=tenant.slow_after_milliseconds,
        count_by_key_bucket=tenant.count_by_key_bucket,
        salt=tenant.salt,
    )


def _written_bytes(plan: ServingPlan) -> int:
    """Return the size of the signed plan in its ConfigMap: base64 encodes 3 bytes as 4."""
    return len(plan.to_json().encode()) * 4 // 3 + SIGNATURE_OVERHEAD_BYTES
