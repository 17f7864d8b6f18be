"""What a rollout decides from, and what it decides: the frozen input and output of `domain.rollout.decide`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.reasons import Reason
from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
)
from tunewright_operator.domain.reasons import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.selection import Choice
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.weights import desired_targets


@dataclass(frozen=True)
class PodView:
    """One pod of the server; ``state`` is None when it did not answer the last poll."""

    uid: str
    name: str
    ready: bool
    state: PodState | None = None
    loaded: frozenset[str] = frozenset()
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Adapters that the pod refused for good, each with the reason and message it gave."""
    retried: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Adapters that the pod could not load for a reason outside them and tries again, with reason and message."""

    @property
    def generation(self) -> int:
        """The plan in force in this pod; 0 when that is unknown."""
        return self.state.plan_generation if self.state else 0


@dataclass(frozen=True)
class ServerFacts:
    """What the ModelServer makes of the deployment: the plan as last written and read back, and its pods."""

    generation: int
    targets: Mapping[str, int] | None
    """The alias' targets and weights in that plan; None when the plan has no route of this deployment."""
    pods: tuple[PodView, ...]
    refusals: Refusals = dataclasses.field(default_factory=Refusals)
    slow_after_milliseconds: int | None = None

    @property
    def ready_pods(self) -> tuple[PodView, ...]:
        """The pods that clients reach."""
        return tuple(pod for pod in self.pods if pod.ready)

    def routes_by(self, targets: Mapping[str, int]) -> bool:
        """Whether the plan routes by these targets.

        Where the server refuses one of them (its owner narrowed what it may load), a plan routes to none: that is all there will be.
        """
        refused = any(name in self.refusals.revisions for name in targets)
        return dict(self.targets or {}) == ({} if refused else dict(targets))

    def is_everywhere(self, targets: Mapping[str, int]) -> bool:
        """Whether every ready pod routes by these targets (vacuously so without a ready pod)."""
        return self.routes_by(targets) and all(pod.generation >= self.generation for pod in self.ready_pods)

    def has_loaded(self, revision: str) -> bool:
        """Whether every ready pod, and at least one, has loaded a revision."""
        return bool(self.ready_pods) and all(revision in pod.loaded for pod in self.ready_pods)

    def has_trouble_with(self, revision: str) -> bool:
        """Whether the server refuses a revision, or a pod could not load it."""
        return revision in self.refusals.revisions or any(
            revision in pod.failed or revision in pod.retried for pod in self.pods
        )


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
