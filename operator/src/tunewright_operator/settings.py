"""The operator's settings: environment variables with the prefix TUNEWRIGHT_, set by the chart."""

from __future__ import annotations

import socket
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tunewright_operator.manifests.pods import ImageDefaults


class Settings(BaseSettings):
    """The settings, read once at the start from environment variables only."""

    model_config = SettingsConfigDict(env_prefix="TUNEWRIGHT_", frozen=True, extra="ignore")

    namespace: str = Field(min_length=1)
    """The operator's namespace, with its Lease, its signing key and the inspection Jobs of BaseModels."""
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
    concurrency: int = Field(default=16, ge=1)
    """How many resources are reconciled at the same time."""
    deployment: str = ""
    """The operator's Deployment, which `release-finalizers` stops first; empty: it is stopped already."""
    pod_name: str = Field(default_factory=socket.gethostname)
    """This replica's identity in the Lease."""

    @field_validator("image_pull_secrets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def images(self) -> ImageDefaults:
        """The images in the form that the manifests need."""
        return ImageDefaults(
            operator=self.operator_image,
            trainer=self.trainer_image,
            server=self.server_image,
            pull_policy=self.image_pull_policy,
            pull_secrets=self.image_pull_secrets,
        )
