"""The input and output of a decision about a ModelServer: what was observed, the actions, and their outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.clients.access_list import AccessList
from tunewright_contracts.serving_plan import PodState, ServingPlan
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.domain.secrets import StorageFacts
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.pods import DeploymentFacts, EngineFacts, ServerPod


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedTenant:
    """An AdapterDeployment that names the server."""

    metadata: Metadata
    namespace_allowed: bool
    """Whether the server allows AdapterDeployments of this namespace."""
    deployment: AdapterDeployment | None
    """None if this operator's version of the API cannot read it; then only its metadata is known."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlanFacts:
    """The plan as the API server holds it."""

    plan: ServingPlan | None = None
    """None before the first plan is written, or if the written plan cannot be read."""
    is_signed: bool = False
    """Whether it is signed with the operator's current key, the only key that a starting pod accepts."""
    problem: Problem | None = None
    """Why no plan may be written: the ConfigMap with its name belongs to another owner."""


@dataclasses.dataclass(frozen=True, slots=True)
class AccessFacts:
    """The access list as the API server holds it, and the clients that it is made of."""

    access: AccessList | None = None
    """None before the first list is written, or if the written list cannot be read."""
    is_signed: bool = False
    """See `PlanFacts.is_signed`."""
    problem: Problem | None = None
    """Why no list may be written: the ConfigMap with its name belongs to another owner."""
    clients: tuple[ModelClient, ...] = ()
    """The ModelClients of the namespaces that the server admits and that have an AdapterDeployment on it."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerObservation:
    """Everything that a decision about a ModelServer depends on."""

    server: ModelServer
    base_model: BaseModel | None
    namespace_labels: Mapping[str, str]
    storage: StorageFacts
    has_signing_key: bool
    """Without a key, the operator can neither sign a plan nor ask a pod for its state."""
    allowed_scheduling: AllowedScheduling = dataclasses.field(default_factory=AllowedScheduling)
    deployment: DeploymentFacts | None = None
    """None if the server controls no Deployment."""
    template_changed: bool = False
    """Whether the pod template has changed since the Deployment was last applied."""
    engine: EngineFacts | None = None
    """None if it is unknown, for example while a changed template is not applied yet."""
    pods: tuple[ServerPod, ...] = ()
    states: Mapping[str, PodState] = dataclasses.field(default_factory=dict)
    """The reported states of the pods that answered, by UID."""
    tenants: tuple[ObservedTenant, ...] = ()
    plan: PlanFacts = PlanFacts()
    access: AccessFacts = AccessFacts()


@dataclasses.dataclass(frozen=True, slots=True)
class CreateSigningKey:
    """Create the operator's signing key."""


@dataclasses.dataclass(frozen=True, slots=True)
class ApplyChildren:
    """Apply the server's objects."""

    hold_update: bool = False
    """Leave the pods' configuration and the Deployment unchanged: replacing the only pod would be an outage."""


@dataclasses.dataclass(frozen=True, slots=True)
class WritePlan:
    """Replace the last plan with a new, signed one."""

    plan: ServingPlan


@dataclasses.dataclass(frozen=True, slots=True)
class PushPlan:
    """Send the written plan, as read back from the API server, to the answering pods that do not have it."""


@dataclasses.dataclass(frozen=True, slots=True)
class WriteAccess:
    """Replace the last access list with a new, signed one."""

    access: AccessList


@dataclasses.dataclass(frozen=True, slots=True)
class PushAccess:
    """Send the written access list, as read back from the API server, to the answering pods that do not have it."""


ServerAction = CreateSigningKey | WriteAccess | PushAccess | ApplyChildren | WritePlan | PushPlan


@dataclasses.dataclass(frozen=True, slots=True)
class ServerDecision:
    """The actions, and what the status shows in addition to their outcome."""

    actions: tuple[ServerAction, ...]
    problem: Problem | None = None
    needs_surge: bool = False
    """Whether a new pod template waits, because replacing the pod would be an outage."""
    refusals: Mapping[str, Refusals] | None = None
    """What each AdapterDeployment was refused, by UID; None if no plan could be decided."""
    access: AccessList | None = None
    """The access list that pods should have; None if none could be decided."""
    omitted_clients: frozenset[str] = frozenset()
    """The UIDs of the clients for which the access list has no room."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerOutcome:
    """The state after the actions."""

    plan: ServingPlan | None
    """The plan as the API server holds it now."""
    states: Mapping[str, PodState]
    """The pods' reported states by UID; those of the pods that got a document were read again."""
    problem: Problem | None = None
    """A write that the API server refused."""
    access: AccessList | None = None
    """The access list as the API server holds it now; None before the first one."""
