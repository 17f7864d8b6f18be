"""What is known of a ModelServer at one moment, what a decision about it may ask for, and what came of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import PodState, ServingPlan
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.pods import DeploymentFacts, ServerPod


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedTenant:
    """An AdapterDeployment that names the server."""

    metadata: Metadata
    namespace_allowed: bool
    """Whether the server admits AdapterDeployments of its namespace."""
    deployment: AdapterDeployment | None
    """None when it does not fit this operator's API: then only its metadata is known."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlanFacts:
    """The plan as the API server holds it."""

    plan: ServingPlan | None = None
    """None before the first plan is written, and when the written one cannot be read."""
    is_signed: bool = False
    """Whether its signature is by the operator's present key, the only one that pods which start now accept."""
    problem: Problem | None = None
    """Why no plan may be written: the ConfigMap of its name belongs to another."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerObservation:
    """Everything that a decision about a ModelServer rests on."""

    server: ModelServer
    base_model: BaseModel | None
    namespace_labels: Mapping[str, str]
    secret: SecretFacts
    has_signing_key: bool
    """Without a key, the operator can neither sign a plan nor ask a pod for its state."""
    deployment: DeploymentFacts | None = None
    """None when there is none that the server controls."""
    template_changed: bool = False
    """Whether the Deployment was last applied with another pod template than the one wanted now."""
    pods: tuple[ServerPod, ...] = ()
    states: Mapping[str, PodState] = dataclasses.field(default_factory=dict)
    """The answers of the pods that answered, by UID."""
    tenants: tuple[ObservedTenant, ...] = ()
    plan: PlanFacts = PlanFacts()


@dataclasses.dataclass(frozen=True, slots=True)
class CreateSigningKey:
    """Create the operator's signing key."""


@dataclasses.dataclass(frozen=True, slots=True)
class ApplyChildren:
    """Apply the server's objects."""

    hold_update: bool = False
    """Leave the pods' configuration and the Deployment as they are: replacing the only pod would be an outage."""


@dataclasses.dataclass(frozen=True, slots=True)
class WritePlan:
    """Write a signed plan over the last one."""

    plan: ServingPlan


@dataclasses.dataclass(frozen=True, slots=True)
class PushPlan:
    """Offer the written plan, as read back, to the answering pods that do not have it."""


ServerAction = CreateSigningKey | ApplyChildren | WritePlan | PushPlan


@dataclasses.dataclass(frozen=True, slots=True)
class ServerDecision:
    """What to do, and what the status shows of it besides what came of the actions."""

    actions: tuple[ServerAction, ...]
    problem: Problem | None = None
    needs_surge: bool = False
    """Whether a new pod template waits until replacing a pod is no outage."""
    refusals: Mapping[str, Refusals] | None = None
    """What was refused to whom, by AdapterDeployment UID; None when no plan could be decided."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerOutcome:
    """What holds after the actions."""

    plan: ServingPlan | None
    """The plan as the API server holds it now."""
    states: Mapping[str, PodState]
    """The pods' answers by UID, read again from those that were offered the plan."""
    problem: Problem | None = None
    """A write that the API server refused."""
