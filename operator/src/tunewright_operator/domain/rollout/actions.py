"""What a rollout does with its Jobs.

If an action is interrupted after any of its writes, it is decided again and continues there.
"""

from __future__ import annotations

import dataclasses

from tunewright_operator.api.adapter_deployment import CandidateRevision
from tunewright_operator.domain.job_run import ExpireJob


@dataclasses.dataclass(frozen=True)
class JobReference:
    """A Job that exists."""

    name: str
    uid: str


@dataclasses.dataclass(frozen=True)
class WantedInspection:
    """The inspection for the address in the spec; its Job and its request have the same name."""

    name: str
    uri: str


@dataclasses.dataclass(frozen=True)
class WantedEvaluation:
    """The evaluation of the candidate's current step; its Job, its request and its token have the same name."""

    name: str
    candidate: CandidateRevision
    dataset_uri: str
    server_uid: str
    server_url: str
    engine: str | None = None
    """The engine whose stored answers it may reuse; None if it may reuse none."""
    dataset_digest: str | None = None
    """The digest that the held-out set must have; None if it is not known."""


@dataclasses.dataclass(frozen=True)
class EnsureInspection:
    """Create the Job that reads the manifest at an address, and its request, unless they exist."""

    inspection: WantedInspection


@dataclasses.dataclass(frozen=True)
class DeleteInspection:
    """Delete an inspection that failed, so that a new one can have its name."""

    job: JobReference


@dataclasses.dataclass(frozen=True)
class EnsureEvaluation:
    """Create the deployment's document key, and an evaluation's Job, request and first token, unless they exist."""

    evaluation: WantedEvaluation


@dataclasses.dataclass(frozen=True)
class RenewToken:
    """Give a running evaluation a new token before the old one expires."""

    evaluation: WantedEvaluation
    job: JobReference


@dataclasses.dataclass(frozen=True)
class RemoveEvaluations:
    """Delete evaluations that no step waits for, with everything that they own."""

    jobs: tuple[JobReference, ...]


RolloutAction = EnsureInspection | DeleteInspection | EnsureEvaluation | RenewToken | RemoveEvaluations | ExpireJob
