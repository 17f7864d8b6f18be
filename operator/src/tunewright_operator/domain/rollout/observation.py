"""The frozen input and output of a rollout's decision (`domain.rollout.decision.decide`)."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.progress import Progress
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeployment,
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
)
from tunewright_operator.domain.evidence.observation import Observation
from tunewright_operator.domain.job_run import JobRun
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.references import check_storage
from tunewright_operator.domain.rollout.actions import RolloutAction
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.domain.secrets import UNREAD, StorageFacts
from tunewright_operator.domain.serving.replica import ServerFacts
from tunewright_operator.domain.serving.weights import desired_targets


@dataclasses.dataclass(frozen=True)
class Missing:
    """No ModelServer has the name that `spec.serverRef` gives."""


@dataclasses.dataclass(frozen=True)
class Unseen:
    """The ModelServer exists, but its loop has not reported on it recently.

    For example, the operator has just started.
    """


@dataclasses.dataclass(frozen=True)
class Seen:
    """The ModelServer as its loop last reported it."""

    facts: ServerFacts
    uid: str
    url: str


@dataclasses.dataclass(frozen=True)
class EvaluationRun:
    """An existing Job of an evaluation.

    Pods and token are read only for the evaluation that the current step waits for.
    """

    run: JobRun
    report: EvaluationReport | None = None
    token_issued_at: str | None = None
    """RFC 3339; empty if the token's time is unknown, None if the Job has no token."""
    progress: Progress | None = None
    """What the running pod reports; it is asked only when this would be recorded."""
    lacks_key: bool = False
    """Whether the pod cannot start because the Secret with its document key does not exist."""


@dataclasses.dataclass(frozen=True)
class UnrecordedEvidence:
    """What was read of a window since its evidence was last recorded.

    The operator keeps it in memory. If it is lost, the next reading adds the same counts to the recorded ones; only the
    answers of server processes that ended meanwhile are lost, and the time since then may not count.
    """

    recorded: Mapping[str, Any]
    """`status.candidate.observation`, to which it was added."""
    observation: Observation


@dataclasses.dataclass(frozen=True)
class Situation:
    """Everything that was read for one decision; what it does not need was not read and has its default."""

    deployment: AdapterDeployment
    server: Missing | Unseen | Seen
    jobs: tuple[SelectableJob, ...] = ()
    """The FineTuneJobs from which `spec.adapter` chooses."""
    storage: StorageFacts = UNREAD
    inspection: JobRun | None = None
    """The Job that reads the manifest at `spec.adapter.uri`."""
    old_inspections: tuple[JobRun, ...] = ()
    """The other Jobs of that kind: of another address, or of one whose adapter is in the status."""
    evaluations: tuple[EvaluationRun, ...] = ()
    unrecorded: UnrecordedEvidence | None = None

    @property
    def spec(self) -> AdapterDeploymentSpec:
        """The deployment's spec."""
        return self.deployment.spec

    @property
    def status(self) -> AdapterDeploymentStatus:
        """The deployment's status as it was read."""
        return self.deployment.status

    @property
    def annotations(self) -> Mapping[str, str]:
        """The deployment's annotations."""
        return self.deployment.metadata.annotations

    @property
    def candidate(self) -> CandidateRevision | None:
        """The revision that is being rolled out."""
        return self.status.candidate

    @property
    def storage_problem(self) -> Problem | None:
        """Why the Secret or the ServiceAccount of `spec.storage` may not be used."""
        namespace = self.deployment.metadata.namespace or ""
        return check_storage(self.spec.storage, namespace, self.storage)

    @property
    def converged(self) -> bool:
        """Return whether there is a ready pod, and every ready pod routes as the status asks."""
        if not isinstance(self.server, Seen):
            return False
        facts = self.server.facts
        return bool(facts.ready_pods) and facts.is_everywhere(desired_targets(self.status))


@dataclasses.dataclass(frozen=True)
class ActiveStep:
    """The candidate's current step. Its server was seen and does not refuse the candidate."""

    situation: Situation
    candidate: CandidateRevision
    server: ServerFacts
    now: dt.datetime
    unrecorded: UnrecordedEvidence | None = None
    """The evidence up to now if it says nothing new."""

    @property
    def spec(self) -> AdapterDeploymentSpec:
        """The deployment's spec."""
        return self.situation.spec

    @property
    def status(self) -> AdapterDeploymentStatus:
        """The deployment's status, which holds the candidate."""
        return self.situation.status

    @property
    def has_incumbent(self) -> bool:
        """Return whether there is a stable revision to compare the candidate with."""
        return self.status.stable is not None

    def with_status(self, status: AdapterDeploymentStatus) -> ActiveStep:
        """Return the step with a changed status that has the same candidate."""
        deployment = self.situation.deployment.updated(status=status)
        return dataclasses.replace(self, situation=dataclasses.replace(self.situation, deployment=deployment))

    def with_candidate(self, candidate: CandidateRevision) -> ActiveStep:
        """Return the step with a changed candidate, also in its status."""
        step = self.with_status(self.status.updated(candidate=candidate))
        return dataclasses.replace(step, candidate=candidate)

    def keep_evidence(self, decision: Decision) -> Decision:
        """Return a decision that also remembers the evidence that is not recorded."""
        return dataclasses.replace(decision, unrecorded=self.unrecorded)


@dataclasses.dataclass(frozen=True)
class Notice:
    """A transition that is reported as an Event after the status is written."""

    reason: Reason
    message: str
    warning: bool = False


@dataclasses.dataclass(frozen=True)
class Wait:
    """What a rollout waits for; ``stalled``: only a user can end the wait."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """The next status, with at most one transition, and the actions on Jobs before it is written.

    ``again``: there was a transition, decide again after the write. ``reconcile_after_seconds``: decide again after
    this time at the latest.
    """

    status: AdapterDeploymentStatus
    notices: tuple[Notice, ...] = ()
    wait: Wait | None = None
    again: bool = False
    reconcile_after_seconds: float | None = None
    actions: tuple[RolloutAction, ...] = ()
    unrecorded: UnrecordedEvidence | None = None
    """For the next `Situation`; None: what is remembered stays as it is."""
