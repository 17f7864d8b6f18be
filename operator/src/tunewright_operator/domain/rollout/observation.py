"""What a rollout decides from, and what it decides: the frozen input and output of `domain.rollout.decision.decide`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeployment,
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
)
from tunewright_operator.domain.rollout.selection import Choice
from tunewright_operator.domain.serving.replica import ServerFacts
from tunewright_operator.domain.serving.weights import desired_targets


@dataclass(frozen=True)
class Missing:
    """No ModelServer has the name in `spec.serverRef`."""


@dataclass(frozen=True)
class Unseen:
    """The ModelServer exists, but its loop has not reported it lately, for example because the operator has just started."""


@dataclass(frozen=True)
class Seen:
    """The ModelServer as its loop last reported it."""

    facts: ServerFacts
    uid: str
    url: str


@dataclass(frozen=True)
class EvaluationView:
    """How the evaluation of the current step stands: a report, a failure of the Job, or neither while it runs.

    ``finished_at`` is RFC 3339, set with either; ``waiting`` says why its pod does not run yet.
    """

    report: EvaluationReport | None = None
    failure: str = ""
    finished_at: str = ""
    waiting: str = ""


@dataclass(frozen=True)
class Situation:
    """Everything that a rollout decides from."""

    deployment: AdapterDeployment
    choice: Choice
    server: Missing | Unseen | Seen
    evaluation: EvaluationView = dataclasses.field(default_factory=EvaluationView)

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
    def converged(self) -> bool:
        """Whether every ready pod, and at least one, routes as the status says."""
        if not isinstance(self.server, Seen):
            return False
        facts = self.server.facts
        return bool(facts.ready_pods) and facts.is_everywhere(desired_targets(self.status))


@dataclass(frozen=True)
class ActiveStep:
    """The candidate's current step, on a server that was seen and that does not refuse the candidate."""

    situation: Situation
    candidate: CandidateRevision
    server: ServerFacts
    now: datetime

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
        """Whether a stable revision answers beside the candidate."""
        return self.status.stable is not None

    def with_candidate(self, candidate: CandidateRevision) -> ActiveStep:
        """Return the step with a changed candidate, which its status then holds, too."""
        deployment = self.situation.deployment
        status = deployment.status.updated(candidate=candidate)
        situation = dataclasses.replace(self.situation, deployment=deployment.updated(status=status))
        return dataclasses.replace(self, situation=situation, candidate=candidate)


@dataclass(frozen=True)
class Notice:
    """A transition, reported as an Event after the status was written."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Wait:
    """What a rollout waits for; ``stalled``: only a person can end it."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclass(frozen=True)
class Decision:
    """The next status, with one transition at most.

    ``again``: a transition happened, decide once more after the write. ``look_after``: seconds until the next look at the latest.
    """

    status: AdapterDeploymentStatus
    notices: tuple[Notice, ...] = ()
    wait: Wait | None = None
    again: bool = False
    look_after: float | None = None
