"""Conditions: the one place where a resource says how it is, in the form that kstatus reads.

Ready or Succeeded is the one look; Reconciling=True says "not there yet", Stalled=True says "a person must change
something". Both are present only when True.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal

from tunewright_operator.api.resource import ApiModel

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(ApiModel):
    """metav1.Condition: ``reason`` is a CamelCase word of the API, ``message`` says what, where and what to do."""

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
        """Return the whole status for a replacing write.

        Unset optional fields are absent rather than null, so that a merge patch would keep their old values.
        """
        return self.to_wire()


def find_condition(conditions: Iterable[Condition], condition_type: str) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((condition for condition in conditions if condition.type == condition_type), None)


class BaseModelCondition(StrEnum):
    """Condition types of a BaseModel."""

    READY = "Ready"
    """Revision and digest are known: jobs and servers may use it."""
    RECONCILING = "Reconciling"
    """True while the status is not yet what the spec asks for."""
    STALLED = "Stalled"
    """True when a person must change something first; the message says what."""


class FineTuneJobCondition(StrEnum):
    """Condition types of a FineTuneJob, in the order in which they become True."""

    SUCCEEDED = "Succeeded"
    """The one look: True when the adapter is published, False when the job ended without one."""
    DATASET_READY = "DatasetReady"
    """The dataset is read, checked, split and stored."""
    TRAINED = "Trained"
    """The adapter is trained."""
    EVALUATED = "Evaluated"
    """The held-out split is scored with the adapter off and on."""
    PUBLISHED = "Published"
    """The adapter and its manifest are in S3."""
    RECONCILING = "Reconciling"
    """True while the status is not yet what the spec asks for."""
    STALLED = "Stalled"
    """True when a person must change something first; the message says what."""


class ModelServerCondition(StrEnum):
    """Condition types of a ModelServer."""

    READY = "Ready"
    """At least as many replicas as the update strategy demands answer."""
    RECONCILING = "Reconciling"
    """True while the status is not yet what the spec asks for."""
    STALLED = "Stalled"
    """True when a person must change something first; the message says what."""


class AdapterDeploymentCondition(StrEnum):
    """Condition types of an AdapterDeployment."""

    READY = "Ready"
    """Clients of the alias are answered by an adapter on every ready replica."""
    PROGRESSING = "Progressing"
    """A candidate is on its way."""
    CANDIDATE_HEALTHY = "CandidateHealthy"
    """False after a rollback until a new adapter comes."""
    RECONCILING = "Reconciling"
    """True while the status is not yet what the spec asks for."""
    STALLED = "Stalled"
    """True when a person must change something first; the message says what."""
