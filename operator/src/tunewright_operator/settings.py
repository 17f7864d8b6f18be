"""The operator's settings: environment variables with the prefix TUNEWRIGHT_, set by the chart."""

from __future__ import annotations

import json
import socket
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    Kind,
)
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.manifests.resources import DefaultResources


class WorkerCounts(BaseModel):
    """How many resources of each kind are reconciled at the same time. A kind never waits for another one's workers."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    fine_tune_job: int = Field(default=8, ge=1)
    adapter_deployment: int = Field(default=8, ge=1)
    model_server: int = Field(default=8, ge=1)
    base_model: int = Field(default=2, ge=1)
    model_client: int = Field(default=2, ge=1)

    def by_kind(self) -> dict[Kind, int]:
        """Return them by kind."""
        return {
            FINE_TUNE_JOB: self.fine_tune_job,
            ADAPTER_DEPLOYMENT: self.adapter_deployment,
            MODEL_SERVER: self.model_server,
            BASE_MODEL: self.base_model,
            MODEL_CLIENT: self.model_client,
        }


class Settings(BaseSettings):
    """The settings, read once at the start from environment variables only."""

    model_config = SettingsConfigDict(env_prefix="TUNEWRIGHT_", frozen=True, extra="ignore")

    namespace: str = Field(min_length=1)
    """The operator's namespace, with its Lease, its signing key and the inspection Jobs of BaseModels."""
    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """The namespaces that the operator works in, separated by commas; empty: all. Its own is always one of them."""
    operator_image: str = Field(min_length=1)
    """The image of the operator, of inspection Jobs and of evaluation Jobs."""
    trainer_image: str = Field(min_length=1)
    server_image: str = Field(min_length=1)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of pull Secrets, separated by commas; they must exist in every namespace that uses the images."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    probe_port: int = 8080
    workers: Annotated[WorkerCounts, NoDecode] = WorkerCounts()
    """How many resources of each kind are reconciled at the same time; in JSON."""
    api_requests_per_second: float = Field(default=200, gt=0)
    """How many requests this replica sends to the API server on average; those for the Lease are not limited."""
    api_burst: int = Field(default=400, ge=1)
    """How many requests it may send at once after a quiet time."""
    keep_finished_jobs_seconds: int = Field(default=3600, ge=300)
    """How long a finished Job and its pod are kept, after its result is in the status of its owner."""
    default_resources: Annotated[DefaultResources, NoDecode] = DefaultResources()
    """What containers request, and their limits, for the resources that a spec leaves out; in JSON."""
    allowed_scheduling: Annotated[AllowedScheduling, NoDecode] = AllowedScheduling()
    """Which priority classes, tolerations and so on a spec may have; in JSON."""
    deployment: str = ""
    """The operator's Deployment, which `release-finalizers` stops first; empty: it is stopped already."""
    pod_name: str = Field(default_factory=socket.gethostname)
    """This replica's identity in the Lease."""

    @field_validator("image_pull_secrets", "namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("workers", "default_resources", "allowed_scheduling", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch, with the operator's own; empty: all."""
        return tuple(sorted({self.namespace, *self.namespaces})) if self.namespaces else ()

    @property
    def pod_defaults(self) -> PodDefaults:
        """The images and resources in the form that the manifests need."""
        return PodDefaults(
            operator=self.operator_image,
            trainer=self.trainer_image,
            server=self.server_image,
            pull_policy=self.image_pull_policy,
            pull_secrets=self.image_pull_secrets,
            resources=self.default_resources,
        )
