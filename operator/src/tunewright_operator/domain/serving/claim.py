"""A server and its tenants: what the server offers, what each AdapterDeployment asks for, and what it is refused."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.pool_load import DEFAULT_SHARE_PERCENT
from tunewright_contracts.reasons import Reason
from tunewright_contracts.serving_plan import (
    OutputContract,
    PodState,
    Route,
    ServingPlan,
    StickyKey,
)
from tunewright_operator.api.adapter_deployment import AdapterDeployment, Revision
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.evidence.latency import derive_slow_limit
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.aliases import AliasClaim
from tunewright_operator.domain.serving.weights import desired_targets


@dataclasses.dataclass(frozen=True)
class PlannedRevision:
    """A revision that a deployment wants to be loaded; ``weight`` is its percentage of the alias' requests."""

    name: str
    digest: str
    uri: str
    rank: int
    base_model_digest: str
    weight: int = 0
    stop_token_ids: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Tenant:
    """What the plan uses of one AdapterDeployment."""

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
    """The route in the last plan of a deployment that this operator cannot read.

    The route stays, together with all adapters that are loaded for its alias.
    """


@dataclasses.dataclass(frozen=True)
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
    allowed_origins: tuple[str, ...] = ()
    structured_outputs: bool = False
    evaluation_share_percent: int = DEFAULT_SHARE_PERCENT


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a deployment's alias or revision is not in the plan."""

    reason: Reason
    message: str


@dataclasses.dataclass(frozen=True)
class Refusals:
    """What a deployment was refused: its alias, so that nothing of it is served, or revisions, by name."""

    alias: Refusal | None = None
    revisions: Mapping[str, Refusal] = dataclasses.field(default_factory=dict)


def build_tenant(
    deployment: AdapterDeployment, *, namespace_allowed: bool, previous: ServingPlan | None, states: Sequence[PodState]
) -> Tenant:
    """Return what a deployment asks of the plan.

    The latency limit of a rollout stays the one in its first plan.
    """
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
    """Return the tenant of a deployment of which only the metadata can be read, with its route in the last plan.

    None if the last plan has no route of it.
    """
    route = next((route for route in previous.routes if route.owner_uid == metadata.uid), None) if previous else None
    if route is None:
        return None
    claim = AliasClaim(metadata.uid, route.namespace, metadata.name, metadata.creation_timestamp, route.alias)
    return Tenant(claim=claim, namespace_allowed=namespace_allowed, kept_route=route)


def rollout_salt(deployment: AdapterDeployment) -> str:
    """Return a text that identifies the current rollout, so that each rollout draws another sample of sessions.

    It is empty without a candidate.
    """
    candidate = deployment.status.candidate
    if candidate is None:
        return ""
    text = f"{deployment.metadata.uid} {candidate.digest} {candidate.accepted_at}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
        stop_token_ids=revision.stop_token_ids,
    )


def _fix_slow_limit(
    deployment: AdapterDeployment, salt: str, previous: ServingPlan | None, states: Sequence[PodState]
) -> int | None:
    """Return the latency limit of this rollout's earlier plan, or a new one from the incumbent's answers so far.

    A limit never changes during a rollout: answers must be judged by a limit that was fixed before the window.
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
