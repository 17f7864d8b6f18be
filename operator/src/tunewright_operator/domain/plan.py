"""The serving plan of one ModelServer, as a pure function of its deployments, the last written plan and its pods' reports.

Order of change: load everywhere → shift weight → stop routing → drain → unload. Loading precedes weight since a rollout gives weight only to
what is loaded; an adapter leaves the plan only when the plan before routes nothing to it, every pod has that plan, and nothing in
flight uses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewright_contracts.serving_plan import (
    MAX_PLAN_BYTES,
    AdapterEntry,
    OutputContract,
    Route,
    ServingPlan,
    StickyKey,
    Target,
)
from tunewright_operator.domain.aliases import REVISION_SEPARATOR, AliasClaim, decide_owners, explain_bad_alias
from tunewright_operator.domain.reasons import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons import Reason
from tunewright_operator.domain.schemas import explain_bad_schema
from tunewright_operator.domain.slots import SlotRequest, Standing, admit_aliases, grant_slots
from tunewright_operator.domain.sources import SourcePolicy

SIGNATURE_OVERHEAD_BYTES = 256


@dataclass(frozen=True)
class PlannedRevision:
    """A revision that a deployment wants loaded; ``weight`` is its share of the alias' requests in percent."""

    name: str
    digest: str
    uri: str
    rank: int
    base_model_digest: str
    weight: int = 0


@dataclass(frozen=True)
class Tenant:
    """One AdapterDeployment as a plan sees it."""

    claim: AliasClaim
    namespace_allowed: bool = True
    stable: PlannedRevision | None = None
    candidate: PlannedRevision | None = None
    sticky_by: tuple[StickyKey, ...] = ()
    output_contract: OutputContract | None = None
    slow_after_milliseconds: int | None = None
    count_by_key_bucket: bool = False
    salt: str = ""
    kept_route: Route | None = None
    """The route of the last plan, of a deployment that this operator cannot read: it stays, with all that its alias has loaded."""


@dataclass(frozen=True)
class ServerView:
    """What a ModelServer offers."""

    uid: str
    namespace: str
    served_base_name: str
    base_model_digest: str
    max_rank: int
    max_adapters: int
    rollout_slots: int
    sources: SourcePolicy


@dataclass(frozen=True)
class PodReport:
    """What one pod that answered says of plans."""

    generation: int
    conflict: bool = False
    in_flight: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """Why something of a deployment is not in the plan."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Refusals:
    """What a deployment was refused: the alias (nothing of it is served), or one of its revisions by name."""

    alias: Refusal | None = None
    revisions: Mapping[str, Refusal] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class PlanDecision:
    """The plan that pods should have. ``changed``: it is a new generation, to be written; else it is the last one again."""

    plan: ServingPlan
    changed: bool
    refusals: Mapping[str, Refusals]
    """By deployment UID; one without refusals is left out."""


def build_plan(
    server: ServerView,
    tenants: Sequence[Tenant],
    previous: ServingPlan | None,
    pods: Sequence[PodReport],
    status_generation: int = 0,
) -> PlanDecision:
    """Return the next plan: what to load and route, and what was refused to whom.

    Args:
        server: what the pool offers.
        tenants: every deployment that names the server, allowed or not.
        previous: the plan in the ConfigMap, just read.
        pods: the reports of the pods that answered.
        status_generation: the highest generation in the ModelServer's status.
    """
    admission = _admit(server, tenants, previous)
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
                f"the server's plan would exceed {MAX_PLAN_BYTES // 1024} KiB with {last.claim.alias!r}. Shorten"
                " outputContract.jsonSchema, or use another ModelServer.",
            )
        )
    for tenant in admitted:
        found = {**admission.revisions.get(tenant.claim.uid, {}), **slot_refusals.get(tenant.claim.uid, {})}
        if found:
            refusals[tenant.claim.uid] = Refusals(revisions=found)
    plan, changed = _number(content, previous, pods, status_generation)
    return PlanDecision(plan=plan, changed=changed, refusals=refusals)


def keep_loaded(previous: ServingPlan | None, pods: Sequence[PodReport]) -> frozenset[str]:
    """Return the adapters of the last plan that a new plan must still name, wanted or not.

    Those it routes to, those a pod with an older plan may still route to, and those with requests in flight.
    """
    if previous is None:
        return frozenset()
    routed = {target.name for route in previous.routes for target in route.targets}
    lagging = any(pod.generation < previous.generation for pod in pods)
    in_use = {name for pod in pods for name, count in pod.in_flight.items() if count > 0}
    loaded = {adapter.name for adapter in previous.adapters}
    return frozenset(name for name in loaded if lagging or name in routed or name in in_use)


@dataclass(frozen=True)
class _Admission:
    tenants: tuple[Tenant, ...]
    refusals: Mapping[str, Refusals]
    revisions: Mapping[str, Mapping[str, Refusal]]


def _admit(server: ServerView, tenants: Sequence[Tenant], previous: ServingPlan | None) -> _Admission:
    """Decide whose alias is served, and drop the revisions that this server must not load."""
    refusals: dict[str, Refusals] = {}
    eligible: list[Tenant] = []
    for tenant in tenants:
        problem = _explain_ineligible(server, tenant)
        if problem is None:
            eligible.append(tenant)
        else:
            refusals[tenant.claim.uid] = Refusals(alias=problem)
    last_owners = {route.alias: route.owner_uid for route in previous.routes} if previous else {}
    owners = decide_owners([tenant.claim for tenant in eligible], last_owners)
    owning: list[Tenant] = []
    for tenant in eligible:
        owner = owners[tenant.claim.alias]
        if owner.uid == tenant.claim.uid:
            owning.append(tenant)
        else:
            message = (
                f"modelName {tenant.claim.alias!r} is served by AdapterDeployment {owner.namespace}/{owner.name} on this"
                " server. Choose another modelName, or have that one deleted or renamed."
            )
            refusals[tenant.claim.uid] = Refusals(alias=Refusal(Why.ALIAS_TAKEN, message))
    owning.sort(key=lambda tenant: tenant.claim.precedence)
    known = [tenant.claim.alias for tenant in owning if _is_known(tenant, previous)]
    new = [tenant.claim.alias for tenant in owning if not _is_known(tenant, previous)]
    served = admit_aliases(known, new, server.max_adapters)
    admitted: list[Tenant] = []
    revisions: dict[str, Mapping[str, Refusal]] = {}
    for tenant in owning:
        if tenant.claim.alias not in served:
            message = (
                f"the server's {server.max_adapters} aliases (spec.lora.maxAdapters) are taken. Raise it, free one, or"
                " use another ModelServer."
            )
            refusals[tenant.claim.uid] = Refusals(alias=Refusal(Why.CAPACITY_EXCEEDED, message))
            continue
        kept, refused = _check_revisions(server, _keep_route(server, tenant, previous))
        admitted.append(kept)
        revisions[tenant.claim.uid] = refused
    return _Admission(tuple(admitted), refusals, revisions)


def _explain_ineligible(server: ServerView, tenant: Tenant) -> Refusal | None:
    if not tenant.namespace_allowed:
        message = (
            f"the ModelServer does not allow AdapterDeployments of namespace {tenant.claim.namespace!r}"
            " (spec.allowedNamespaces). Ask its owner, or use another server."
        )
        return Refusal(Why.SERVER_NOT_ALLOWED, message)
    problem = explain_bad_alias(tenant.claim.alias, server.served_base_name)
    return None if problem is None else Refusal(Why.INVALID_MODEL_NAME, problem)


def explain_unservable(server: ServerView, namespace: str, revision: PlannedRevision) -> Refusal | None:
    """Return why a server must not load a namespace's revision; None when it may."""
    problem = server.sources.explain_refusal(namespace, revision.uri)
    if problem is not None:
        return Refusal(Why.SOURCE_NOT_ALLOWED, problem)
    if revision.rank > server.max_rank:
        message = (
            f"the adapter's rank {revision.rank} is over the server's spec.lora.maxRank {server.max_rank}. Train with a"
            " lower rank, or ask the server's owner to raise it."
        )
        return Refusal(Why.RANK_TOO_HIGH, message)
    if revision.base_model_digest != server.base_model_digest:
        message = (
            f"the adapter was trained on base model {revision.base_model_digest}, the server runs"
            f" {server.base_model_digest}. Serve it on a ModelServer of its own base model, or train it again on this one."
        )
        return Refusal(Why.BASE_MODEL_MISMATCH, message)
    return None


def _explain_bad_contract(tenant: Tenant) -> Refusal | None:
    """Return why a deployment's contract may not enter the plan: one that pods cannot read would stop every tenant."""
    schema = tenant.output_contract.json_schema if tenant.output_contract else None
    problem = None if schema is None else explain_bad_schema(schema)
    if problem is None:
        return None
    message = (
        f"spec.outputContract.jsonSchema: {problem}. No candidate can be judged by it; correct it or take it away."
    )
    return Refusal(Why.INVALID_OUTPUT_CONTRACT, message)


def _check_revisions(server: ServerView, tenant: Tenant) -> tuple[Tenant, dict[str, Refusal]]:
    refused: dict[str, Refusal] = {}
    bad_contract = _explain_bad_contract(tenant)
    if bad_contract is not None:
        tenant = dataclasses.replace(tenant, output_contract=None)
        if tenant.candidate is not None:
            refused[tenant.candidate.name] = bad_contract
    for revision in (tenant.stable, tenant.candidate):
        problem = revision and explain_unservable(server, tenant.claim.namespace, revision)
        if revision and problem:
            refused[revision.name] = problem
    kept = dataclasses.replace(
        tenant,
        stable=None if tenant.stable and tenant.stable.name in refused else tenant.stable,
        candidate=None if tenant.candidate and tenant.candidate.name in refused else tenant.candidate,
    )
    return kept, refused


def _is_known(tenant: Tenant, previous: ServingPlan | None) -> bool:
    return previous is not None and any(route.owner_uid == tenant.claim.uid for route in previous.routes)


def _rank_for_room(tenant: Tenant, previous: ServingPlan | None) -> tuple[bool, int, tuple[str, str, str]]:
    """Return what decides who leaves a plan that is too large: the newest that is not served yet, else the one that takes most.

    Whoever writes a huge contract into a deployment that serves must not push out another tenant's.
    """
    if not _is_known(tenant, previous):
        return (True, 0, tenant.claim.precedence)
    return (False, len(_build_route(tenant).to_json()), tenant.claim.precedence)


def _compose(
    server: ServerView, tenants: Sequence[Tenant], previous: ServingPlan | None, pods: Sequence[PodReport]
) -> tuple[ServingPlan, dict[str, dict[str, Refusal]]]:
    """Return the plan's content (its generation is 1) and the candidates that wait for a slot."""
    before = {entry.name: entry for entry in previous.adapters} if previous else {}
    kept = keep_loaded(previous, pods)
    for tenant in tenants:
        kept |= _list_kept(server, tenant, before)
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
                    f"all {capacity} adapter slots of the server are in use (spec.lora.maxAdapters + rolloutSlots);"
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
    )


def _list_kept(server: ServerView, tenant: Tenant, before: Mapping[str, AdapterEntry]) -> frozenset[str]:
    """Return what stays loaded for a deployment that cannot be read: a candidate, or the incumbent of a bake, has no target."""
    if tenant.kept_route is None:
        return frozenset()
    namespace, prefix = tenant.claim.namespace, f"{tenant.claim.alias}{REVISION_SEPARATOR}"
    own = [entry for name, entry in before.items() if name.startswith(prefix) and entry.namespace == namespace]
    return frozenset(entry.name for entry in own if server.sources.explain_refusal(namespace, entry.uri) is None)


def _keep_route(server: ServerView, tenant: Tenant, previous: ServingPlan | None) -> Tenant:
    """Return an unread deployment without its targets when the server's owner has barred one of them since."""
    if tenant.kept_route is None or previous is None:
        return tenant
    entries = {entry.name: entry for entry in previous.adapters}
    allowed = _list_kept(server, tenant, entries)
    if all(target.name in allowed for target in tenant.kept_route.targets):
        return tenant
    return dataclasses.replace(tenant, kept_route=tenant.kept_route.model_copy(update={"targets": (), "fallback": ""}))


def _build_route(tenant: Tenant) -> Route:
    """Return the alias' route. A target without weight is left out: it would answer when the other one is not loaded."""
    if tenant.kept_route is not None:
        return tenant.kept_route
    weighted = [revision for revision in (tenant.stable, tenant.candidate) if revision and revision.weight > 0]
    if tenant.candidate is None and tenant.stable is not None:
        # Also in a bake, where it has no weight: the candidate was refused, and this one is still loaded.
        weighted = [dataclasses.replace(tenant.stable, weight=100)]
    elif sum(revision.weight for revision in weighted) != 100:
        weighted = []  # The stable revision was refused: a candidate that is not proven must not answer everybody.
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


def _number(
    content: ServingPlan, previous: ServingPlan | None, pods: Sequence[PodReport], status_generation: int
) -> tuple[ServingPlan, bool]:
    """Give the content its generation: 1 + the highest that anybody knows, or the last one when nothing changed."""
    highest = max([status_generation, previous.generation if previous else 0, *(pod.generation for pod in pods)])
    if previous is not None and previous.content_hash() == content.content_hash():
        conflict = any(pod.conflict for pod in pods)
        if not conflict and previous.generation == highest:
            return previous, False
    return content.model_copy(update={"generation": highest + 1}), True


def _written_bytes(plan: ServingPlan) -> int:
    """Return how much the signed plan takes in its ConfigMap: base64 makes 4 bytes of 3."""
    return len(plan.to_json().encode()) * 4 // 3 + SIGNATURE_OVERHEAD_BYTES
