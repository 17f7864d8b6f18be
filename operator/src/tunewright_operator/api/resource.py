"""What the custom resources have in common: the base class, the metadata, and fields that several kinds have."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field

from tunewright_contracts.document import FrozenModel
from tunewright_contracts.metrics import MetricType


class ResourceError(ValueError):
    """An object cannot be parsed as its kind; the message names the kind, the object and each wrong field."""


class ApiModel(FrozenModel):
    """A part of a custom resource."""


class Metadata(ApiModel):
    """The fields of ObjectMeta that decisions read; times are RFC 3339 strings."""

    name: str
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()


class Resource(ApiModel):
    """A custom resource as the API server returns it; each kind adds ``spec`` and ``status``."""

    metadata: Metadata

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Parse an object of the API.

        Raises:
            ResourceError: a field is missing or of another type, which happens when the CRD has another version.
        """
        try:
            return cls.model_validate(dict(body))
        except ValueError as error:
            metadata = body.get("metadata", {})
            where = "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)
            raise ResourceError(
                f"{cls.__name__} {where} does not match this operator's API ({error}); "
                "install the CRDs of the operator's version"
            ) from error


class NameReference(ApiModel):
    """A reference to an object by name: in the same namespace, or to a cluster-scoped one."""

    name: str


class Storage(ApiModel):
    """Credentials of the object store: a Secret, a ServiceAccount, or both; each with `tunewright.dev/use: allowed`.

    With a ServiceAccount, the Secret's keys of AWS are not used: who a pod is must not depend on two places.
    """

    secret_ref: NameReference | None = None
    service_account_name: str | None = None

    @property
    def secret_name(self) -> str | None:
        """The name of the Secret, or None."""
        return None if self.secret_ref is None else self.secret_ref.name


class S3Location(ApiModel):
    """An object or a prefix in S3: ``s3://bucket/key``."""

    uri: str


class SelectorOperator(StrEnum):
    """Operators of a label selector's expression."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorExpression(ApiModel):
    """A requirement for one label."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet this requirement, as in Kubernetes: NotIn is met when the label is absent."""
        match self.operator:
            case SelectorOperator.IN:
                return labels.get(self.key) in self.values
            case SelectorOperator.NOT_IN:
                return labels.get(self.key) not in self.values
            case SelectorOperator.EXISTS:
                return self.key in labels
            case SelectorOperator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(ApiModel):
    """A Kubernetes label selector: all requirements must be met; without requirements it selects everything."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[SelectorExpression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet every requirement."""
        equal = all(labels.get(key) == value for key, value in self.match_labels.items())
        return equal and all(expression.matches(labels) for expression in self.match_expressions)


class ResourceRequirements(ApiModel):
    """Limits and requests of the main container, as in a pod; quantities stay as they were written."""

    limits: dict[str, int | str] = Field(default_factory=dict)
    requests: dict[str, int | str] = Field(default_factory=dict)


class Toleration(ApiModel):
    """A toleration as in a pod."""

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Scheduling(ApiModel):
    """Where pods may run, as in a pod; for an empty name the cluster's default applies."""

    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    priority_class_name: str = ""
    runtime_class_name: str = ""


class ScoreMetric(ApiModel):
    """One offline metric: ``schema`` is for JSONSchema, ``values`` for Contains; ``minimum`` is in [0, 1]."""

    type: MetricType
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    values: tuple[str, ...] = ()
    minimum: str | None = None


def plain_decimal(text: str) -> str:
    """Return a decimal without an exponent, as contracts require it: ``2e-4`` → ``0.0002``."""
    return format(Decimal(text), "f")
