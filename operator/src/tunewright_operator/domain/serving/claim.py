"""A server and its tenants: what it offers, what each AdapterDeployment wants of it, and what that one is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright_contracts.reasons import Reason
from tunewright_contracts.serving_plan import OutputContract, Route, StickyKey
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.aliases import AliasClaim


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
class Refusal:
    """Why something of a deployment is not in the plan."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Refusals:
    """What a deployment was refused: the alias (nothing of it is served), or one of its revisions by name."""

    alias: Refusal | None = None
    revisions: Mapping[str, Refusal] = dataclasses.field(default_factory=dict)
