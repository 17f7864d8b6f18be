"""What a rollout decides from, and what it decides: the frozen input and output of `domain.rollout.decision.decide`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeployment,
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
)
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.job_run import JobRun
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.references import check_secret
from tunewright_operator.domain.rollout.actions import RolloutAction
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.domain.serving.replica import ServerFacts
from tunewright_operator.domain.serving.weights import desired_targets

UNREAD_SECRET = SecretFacts(exists=False)
"""A Secret that was not read counts as one that does not exist."""


@dataclasses.dataclass(frozen=True)
class Missing:
    """No ModelServer has the name in `spec.serverRef`."""


@dataclasses.dataclass(frozen=True)
class Unseen:
    """The ModelServer exists, but its loop has not reported it lately,
    for example because the operator has just started.
    """


@dataclasses.dataclass(frozen=True)
class Seen:
    """The ModelServer as its loop last reported it."""

    facts: ServerFacts
    uid: str
    url: str


@dataclasses.dataclass(frozen=True)
class EvaluationRun:
    """An evaluation's Job that exists.

    Its pods and its token are read only of the evaluation that the current step waits for.
    """

    run: JobRun
    report: EvaluationReport | None = None
    token_issued_at: str | None = None
    """RFC 3339; empty when the token does not carry its time, None when the Job has no token."""


@dataclasses.dataclass(frozen=True)
class Situation:
    """Everything that was read for one decision: what no decision needs now was not read and has its default."""

    deployment: AdapterDeployment
    server: Missing | Unseen | Seen
    jobs: tuple[FineTuneJob, ...] = ()
    """The FineTuneJobs among which `spec.adapter` chooses."""
    secret: SecretFacts = UNREAD_SECRET
    inspection: JobRun | None = None
    """The Job that reads the manifest at `spec.adapter.uri`."""
    evaluations: tuple[EvaluationRun, ...] = ()

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
        """The revision on its way."""
        return self.status.candidate

    @property
    def secret_problem(self) -> Problem | None:
        """Why the Secret of `spec.storage` may not be used."""
        namespace = self.deployment.metadata.namespace or ""
        return check_secret(self.spec.storage.secret_ref.name, namespace, self.secret)

    @property
    def converged(self) -> bool:
        """Return whether every ready pod, and at least one, routes as the status says."""
        if not isinstance(self.server, Seen):
            return False
        facts = self.server.facts
        return bool(facts.ready_pods) and facts.is_everywhere(desired_targets(self.status))


@dataclasses.dataclass(frozen=True)
class ActiveStep:
    """The candidate's current step, on a server that was seen and that does not refuse the candidate."""

    situation: Situation
    candidate: CandidateRevision
    server: ServerFacts
    now: dt.datetime

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
        """Return whether a stable revision answers beside the candidate."""
        return self.status.stable is not None

    def with_candidate(self, candidate: CandidateRevision) -> ActiveStep:
        """Return the step with a changed candidate, which its status then holds, too."""
        deployment = self.situation.deployment
        status = deployment.status.updated(candidate=candidate)
        situation = dataclasses.replace(self.situation, deployment=deployment.updated(status=status))
        return dataclasses.replace(self, situation=situation, candidate=candidate)


@dataclasses.dataclass(frozen=True)
class Notice:
    """A transition, reported as an Event after the status was written."""

    reason: Reason
    message: str
    warning: bool = False


@dataclasses.dataclass(frozen=True)
class Wait:
    """What a rollout waits for; ``stalled``: only a person can end it."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """The next status, with one transition at most, and what is done about Jobs before it is written.

    ``again``: a transition happened, decide again after the write. ``look_after``: decide again after so many seconds
    at the latest.
    """

    status: AdapterDeploymentStatus
    notices: tuple[Notice, ...] = ()
    wait: Wait | None = None
    again: bool = False
    look_after: float | None = None
    actions: tuple[RolloutAction, ...] = ()
