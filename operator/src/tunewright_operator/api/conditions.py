"""Conditions: the state of a resource, in the form that kstatus reads.

Ready or Succeeded is the summary. Reconciling=True means that the operator works towards the spec, Stalled=True that it
cannot continue until a user changes something. Both are present only when True.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal

from tunewright_operator.api.resource import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """metav1.Condition: ``reason`` is a CamelCase word of the API; ``message`` explains what, where and what to do."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str

    @property
    def is_true(self) -> bool:
        """Return whether the status is True."""
        return self.status == "True"


class Status(ApiModel):
    """The base of every kind's status."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()

    def to_status(self) -> dict[str, Any]:
        """Return the whole status, to replace the old one.

        Unset optional fields are absent, not null. Do not write it as a merge patch: absent fields would keep their
        old values.
        """
        return self.to_wire()


def find_condition(conditions: Iterable[Condition], condition_type: str) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((condition for condition in conditions if condition.type == condition_type), None)


class BaseModelCondition(StrEnum):
    """Condition types of a BaseModel."""

    READY = "Ready"
    """The revision and the digest are known: jobs and servers can use the model."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when the operator cannot continue until a user changes something; the message explains what."""


class FineTuneJobCondition(StrEnum):
    """Condition types of a FineTuneJob, in the order in which they become True."""

    SUCCEEDED = "Succeeded"
    """The summary: True when the adapter is published, False when the job ended without one."""
    DATASET_READY = "DatasetReady"
    """The dataset is read, checked, split and stored."""
    TRAINED = "Trained"
    """The adapter is trained."""
    EVALUATED = "Evaluated"
    """The held-out split is scored with the adapter off and on."""
    PUBLISHED = "Published"
    """The adapter and its manifest are in S3."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when the operator cannot continue until a user changes something; the message explains what."""


class ModelServerCondition(StrEnum):
    """Condition types of a ModelServer."""

    READY = "Ready"
    """At least `replicas` minus `updateStrategy.maxUnavailable` replicas, and at least one, answer clients."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when the operator cannot continue until a user changes something; the message explains what."""


class ModelClientCondition(StrEnum):
    """Condition types of a ModelClient."""

    READY = "Ready"
    """Every replica accepts the client's keys."""
    PROPAGATED = "Propagated"
    """Every replica applies the spec: a key that was removed from it is not accepted any more."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when the operator cannot continue until a user changes something; the message explains what."""


class AdapterDeploymentCondition(StrEnum):
    """Condition types of an AdapterDeployment."""

    READY = "Ready"
    """Every ready replica answers clients of the alias with an adapter."""
    PROGRESSING = "Progressing"
    """A candidate is being rolled out."""
    CANDIDATE_HEALTHY = "CandidateHealthy"
    """False after a rollback until there is a new candidate."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when the operator cannot continue until a user changes something; the message explains what."""
