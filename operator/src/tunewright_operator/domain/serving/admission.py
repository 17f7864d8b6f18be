"""Admit tenants to a server: which aliases it serves, and which revisions it must not load."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tunewright_contracts.serving_plan import ServingPlan
from tunewright_operator.domain.output_schemas import explain_bad_schema
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.serving.aliases import decide_owners, explain_bad_alias
from tunewright_operator.domain.serving.claim import PlannedRevision, Refusal, Refusals, ServerView, Tenant
from tunewright_operator.domain.serving.kept_route import keep_route
from tunewright_operator.domain.serving.slots import admit_aliases


@dataclasses.dataclass(frozen=True)
class Admission:
    """The tenants to serve, without the revisions that must not be loaded.

    ``refusals`` has deployment UIDs as keys, ``revisions`` deployment UIDs and then revision names.
    """

    tenants: tuple[Tenant, ...]
    refusals: Mapping[str, Refusals]
    revisions: Mapping[str, Mapping[str, Refusal]]


def admit(server: ServerView, tenants: Sequence[Tenant], previous: ServingPlan | None) -> Admission:
    """Decide which aliases are served, and remove the revisions that this server must not load."""
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
                f"AdapterDeployment {owner.namespace}/{owner.name} already serves modelName {tenant.claim.alias!r} on"
                " this server. Choose another modelName, or have that AdapterDeployment deleted."
            )
            refusals[tenant.claim.uid] = Refusals(alias=Refusal(Why.ALIAS_TAKEN, message))
    owning.sort(key=lambda tenant: tenant.claim.precedence)
    known = [tenant.claim.alias for tenant in owning if is_known(tenant, previous)]
    new = [tenant.claim.alias for tenant in owning if not is_known(tenant, previous)]
    served = admit_aliases(known, new, server.max_adapters)
    admitted: list[Tenant] = []
    revisions: dict[str, Mapping[str, Refusal]] = {}
    for tenant in owning:
        if tenant.claim.alias not in served:
            message = (
                f"All {server.max_adapters} aliases of the server (spec.lora.maxAdapters) are in use. Ask its owner to"
                " raise the limit or to delete an AdapterDeployment, or use another ModelServer."
            )
            refusals[tenant.claim.uid] = Refusals(alias=Refusal(Why.CAPACITY_EXCEEDED, message))
            continue
        kept, refused = _check_revisions(server, keep_route(server, tenant, previous))
        admitted.append(kept)
        revisions[tenant.claim.uid] = refused
    return Admission(tuple(admitted), refusals, revisions)


def is_known(tenant: Tenant, previous: ServingPlan | None) -> bool:
    """Return whether the last plan serves a deployment."""
    return previous is not None and any(route.owner_uid == tenant.claim.uid for route in previous.routes)


def _explain_unservable(server: ServerView, namespace: str, revision: PlannedRevision) -> Refusal | None:
    """Return why a server must not load a revision of a namespace; None when it may."""
    problem = server.sources.explain_refusal(namespace, revision.uri)
    if problem is not None:
        return Refusal(Why.SOURCE_NOT_ALLOWED, problem)
    if revision.rank > server.max_rank:
        message = (
            f"The adapter's rank {revision.rank} is higher than the server's spec.lora.maxRank {server.max_rank}."
            " Train with a lower rank, or ask the server's owner to raise the limit."
        )
        return Refusal(Why.RANK_TOO_HIGH, message)
    if revision.base_model_digest != server.base_model_digest:
        message = (
            f"The adapter was trained on base model {revision.base_model_digest}, and the server runs"
            f" {server.base_model_digest}. Serve it on a ModelServer of the base model that it was trained on, or train"
            " it again on this server's base model."
        )
        return Refusal(Why.BASE_MODEL_MISMATCH, message)
    return None


def _explain_ineligible(server: ServerView, tenant: Tenant) -> Refusal | None:
    if not tenant.namespace_allowed:
        message = (
            f"The ModelServer does not allow AdapterDeployments of namespace {tenant.claim.namespace!r}"
            " (spec.allowedNamespaces). Ask its owner to allow the namespace, or use another server."
        )
        return Refusal(Why.SERVER_NOT_ALLOWED, message)
    problem = explain_bad_alias(tenant.claim.alias, server.served_base_name)
    return None if problem is None else Refusal(Why.INVALID_MODEL_NAME, problem)


def _explain_bad_contract(tenant: Tenant) -> Refusal | None:
    """Return why a deployment's contract must not enter the plan, where an unreadable one would stop every tenant."""
    schema = tenant.output_contract.json_schema if tenant.output_contract else None
    problem = None if schema is None else explain_bad_schema(schema)
    if problem is None:
        return None
    advice = "Answers cannot be checked against it. Correct it or remove it."
    message = join_sentences(f"spec.outputContract.jsonSchema: {problem}", advice)
    return Refusal(Why.INVALID_OUTPUT_CONTRACT, message)


def _check_revisions(server: ServerView, tenant: Tenant) -> tuple[Tenant, dict[str, Refusal]]:
    refused: dict[str, Refusal] = {}
    bad_contract = _explain_bad_contract(tenant)
    if bad_contract is not None:
        tenant = dataclasses.replace(tenant, output_contract=None)
        if tenant.candidate is not None:
            refused[tenant.candidate.name] = bad_contract
    for revision in (tenant.stable, tenant.candidate):
        problem = revision and _explain_unservable(server, tenant.claim.namespace, revision)
        if revision and problem:
            refused[revision.name] = problem
    kept = dataclasses.replace(
        tenant,
        stable=None if tenant.stable and tenant.stable.name in refused else tenant.stable,
        candidate=None if tenant.candidate and tenant.candidate.name in refused else tenant.candidate,
    )
    return kept, refused
