"""What a rollout decides from, and what it decides: the frozen input and output of `domain.rollout.decide`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.selection import Choice
from tunewright_operator.domain.serving.replica import ServerFacts
from tunewright_operator.domain.serving.weights import desired_targets


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
    """Everything that a rollout decides from. ``server`` is None when there is none that may be used."""

    spec: AdapterDeploymentSpec
    status: AdapterDeploymentStatus
    annotations: Mapping[str, str]
    choice: Choice
    server: ServerFacts | None
    server_problem: str = ""
    """Why there is no server: a sentence for a person."""
    server_reason: Reason | None = None
    server_uid: str = ""
    server_url: str = ""
    evaluation: EvaluationView = dataclasses.field(default_factory=EvaluationView)

    @property
    def candidate(self) -> CandidateRevision | None:
        """The revision on its way."""
        return self.status.candidate

    @property
    def server_unseen(self) -> bool:
        """Whether the server is there and nobody looked at it lately: just after a start of the operator, for one."""
        return self.server is None and self.server_reason is Why.SERVER_NOT_READY

    @property
    def converged(self) -> bool:
        """Whether every ready pod, and at least one, routes as the status says."""
        server = self.server
        return server is not None and bool(server.ready_pods) and server.is_everywhere(desired_targets(self.status))


@dataclass(frozen=True)
class Notice:
    """A transition, told as an Event once the status is written."""

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
