"""BaseModel: an entry of the platform team's catalogue (cluster-scoped)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunewright_operator.api.conditions import Status
from tunewright_operator.api.resource import ApiModel, LabelSelector, Resource, S3Location, Storage

DEFAULT_TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of Llama, Mistral, Qwen and SmolLM blocks."""


class HuggingFaceLocation(ApiModel):
    """A repository on the Hugging Face Hub at a commit, tag or branch."""

    repository: str
    revision: str = "main"


class BaseModelSource(ApiModel):
    """Where the weights are: exactly one is set."""

    s3: S3Location | None = None
    hugging_face: HuggingFaceLocation | None = None


class License(ApiModel):
    """The license of the weights; `kubectl get basemodels` shows it."""

    spdx: str


class BaseModelTraining(ApiModel):
    """Defaults for jobs that train on this model; an empty template means the tokenizer's template."""

    target_modules: tuple[str, ...] = DEFAULT_TARGET_MODULES
    chat_template: str = ""


class BaseModelNamespaces(ApiModel):
    """Which namespaces may use the model."""

    from_: Literal["All", "Selector"] = Field(default="All", alias="from")
    selector: LabelSelector | None = None


class BaseModelSpec(ApiModel):
    """What the platform team offers."""

    source: BaseModelSource
    storage: Storage | None = None
    license: License | None = None
    parameters_millions: int | None = None
    context_length: int
    training: BaseModelTraining = BaseModelTraining()
    allowed_namespaces: BaseModelNamespaces = BaseModelNamespaces()


class BaseModelStatus(Status):
    """What the inspection found; ``digest`` covers the configuration, the tokenizer and the weights."""

    revision: str = ""
    digest: str = ""
    linear_modules: tuple[str, ...] = ()
    """The last part of each linear layer's name. Empty if an earlier release inspected the model, or it has too many.
    """


class BaseModel(Resource):
    """A BaseModel object."""

    spec: BaseModelSpec
    status: BaseModelStatus = BaseModelStatus()

    def admits(self, namespace_labels: dict[str, str]) -> bool:
        """Return whether a namespace with these labels may use the model."""
        allowed = self.spec.allowed_namespaces
        return allowed.from_ == "All" or (allowed.selector is not None and allowed.selector.matches(namespace_labels))
