"""The requests and limits of containers: those of a spec, and the platform's defaults for what a spec leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from tunewright_contracts.document import FrozenModel
from tunewright_operator.api.quantities import parse_quantity
from tunewright_operator.api.resource import ResourceRequirements

Body = dict[str, Any]


class DefaultRequirements(FrozenModel):
    """The requests and limits that a container has for each resource that the spec does not mention."""

    model_config = ConfigDict(extra="forbid")

    requests: dict[str, int | str] = Field(default_factory=dict)
    limits: dict[str, int | str] = Field(default_factory=dict)

    @field_validator("requests", "limits")
    @classmethod
    def _refuse_text(cls, quantities: dict[str, int | str]) -> dict[str, int | str]:
        for name, value in quantities.items():
            try:
                parse_quantity(str(value))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return quantities


class DefaultResources(FrozenModel):
    """The defaults by the purpose of a container.

    The limits of ephemeral storage are those of the pod's volumes together, and 2Gi for logs: a volume is full before
    the kubelet evicts the pod.
    """

    model_config = ConfigDict(extra="forbid")

    job: DefaultRequirements = DefaultRequirements(
        requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "1Gi"},
        limits={"memory": "2Gi", "ephemeral-storage": "60Gi"},
    )
    """Of the Jobs without an accelerator: prepare, inspect and evaluate."""
    train: DefaultRequirements = DefaultRequirements(
        requests={"cpu": "100m", "memory": "2Gi", "ephemeral-storage": "1Gi"},
        limits={"memory": "32Gi", "ephemeral-storage": "210Gi"},
    )
    server: DefaultRequirements = DefaultRequirements(
        requests={"cpu": "100m", "memory": "2Gi", "ephemeral-storage": "1Gi"},
        limits={"memory": "32Gi", "ephemeral-storage": "310Gi"},
    )


def build_resources(wanted: ResourceRequirements, default: DefaultRequirements, *, accelerators: bool) -> Body:
    """Return a container's resources.

    Args:
        wanted: what the spec asks for.
        default: what the container has for each resource that the spec leaves out. A limit that would be below a
            request of the spec is raised to it. A request is not added to a limit of the spec, from which Kubernetes
            takes it.
        accelerators: whether extended resources (``vendor/name``) are kept.
    """
    limits = _keep(wanted.limits, accelerators=accelerators)
    requests = _keep(wanted.requests, accelerators=accelerators)
    added = {name: str(value) for name, value in default.requests.items() if name not in limits}
    for name, value in default.limits.items():
        limits.setdefault(name, max(str(value), requests.get(name, "0"), key=parse_quantity))
    built = {"limits": limits, "requests": added | requests}
    return {field: quantities for field, quantities in built.items() if quantities}


def _keep(quantities: Mapping[str, int | str], *, accelerators: bool) -> dict[str, str]:
    return {name: str(value) for name, value in quantities.items() if accelerators or "/" not in name}
