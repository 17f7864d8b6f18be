"""ModelServer: a pool of vLLM replicas on one base model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright_contracts.pool_load import DEFAULT_SHARE_PERCENT
from tunewright_contracts.serving_plan import SERVER_PORT
from tunewright_operator.api.conditions import Status
from tunewright_operator.api.resource import (
    ApiModel,
    LabelSelector,
    NameReference,
    Resource,
    ResourceRequirements,
    Scheduling,
    Storage,
)


class ServerLora(ApiModel):
    """Limits of adapters: ``max_adapters`` limits the aliases, ``rollout_slots`` the candidates in addition to them."""

    max_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 32
    max_adapters: int = 64
    rollout_slots: int = 4
    max_active_adapters: int = 8


class Vllm(ApiModel):
    """Settings of the engine; the default of ``max_model_length`` is the base model's context length."""

    max_model_length: int | None = None
    dtype: Literal["Auto", "BFloat16", "Float16", "Float32"] = "Auto"


class ServerNamespaces(ApiModel):
    """The namespaces whose AdapterDeployments may use the server."""

    from_: Literal["Same", "All", "Selector"] = Field(default="Same", alias="from")
    selector: LabelSelector | None = None


class AdapterSource(ApiModel):
    """A prefix that adapters may come from; ``{namespace}`` stands for the deployment's namespace."""

    uri_prefix: str


class Evaluations(ApiModel):
    """What evaluations may use of each pod: a percentage of the places that clients leave free."""

    max_share_percent: int = DEFAULT_SHARE_PERCENT


class UpdateStrategy(ApiModel):
    """How pods are replaced; both fields are numbers of pods."""

    max_surge: int = 0
    max_unavailable: int = 1


class ModelServerSpec(ApiModel):
    """What to run."""

    base_model_ref: NameReference
    replicas: int = 1
    lora: ServerLora = ServerLora()
    vllm: Vllm = Vllm()
    storage: Storage
    allowed_namespaces: ServerNamespaces = ServerNamespaces()
    adapter_sources: tuple[AdapterSource, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    structured_outputs: Literal["Forbidden", "Allowed"] = "Forbidden"
    clients: Literal["Required", "Optional"] = "Required"
    evaluations: Evaluations = Evaluations()
    update_strategy: UpdateStrategy = UpdateStrategy()
    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    scheduling: Scheduling = Field(default_factory=Scheduling)
    adapter_load_timeout_seconds: int = 120


class PlanReference(ApiModel):
    """The plan that was written last: its generation and the hash of its content."""

    generation: int
    hash: str


class AccessReference(ApiModel):
    """The access list that was written last: its generation and the hash of its content."""

    generation: int
    hash: str


class FailedAdapter(ApiModel):
    """An adapter that a pod could not load."""

    name: str
    reason: str
    message: str = ""


class PodStatus(ApiModel):
    """What one replica reports; ``adapters`` is the number of adapters that it has loaded."""

    name: str
    ready: bool = False
    plan_generation: int = 0
    access_generation: int = 0
    adapters: int = 0
    failed: tuple[FailedAdapter, ...] = ()


class AdapterCount(ApiModel):
    """The number of adapters in the plan, and of those that every answering replica has loaded."""

    desired: int = 0
    converged: int = 0


class ModelServerStatus(Status):
    """The durable state of a server."""

    endpoint: str = ""
    selector: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    plan: PlanReference | None = None
    access: AccessReference | None = None
    pods: tuple[PodStatus, ...] = ()
    adapters: AdapterCount | None = None


class ModelServer(Resource):
    """A ModelServer object."""

    spec: ModelServerSpec
    status: ModelServerStatus = ModelServerStatus()

    @property
    def endpoint(self) -> str:
        """The address at which clients in the cluster reach the server."""
        return f"http://{self.metadata.name}.{self.metadata.namespace}.svc:{SERVER_PORT}"

    def admits(self, namespace: str, namespace_labels: dict[str, str]) -> bool:
        """Return whether AdapterDeployments of a namespace with these labels may use the server.

        Those in the server's namespace always may.
        """
        allowed = self.spec.allowed_namespaces
        if namespace == self.metadata.namespace or allowed.from_ == "All":
            return True
        return (
            allowed.from_ == "Selector" and allowed.selector is not None and allowed.selector.matches(namespace_labels)
        )
