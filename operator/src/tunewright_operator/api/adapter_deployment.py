"""AdapterDeployment: an alias whose adapter is replaced by an evaluated canary."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field

from tunewright_contracts.metrics import LiveMetricType
from tunewright_operator.api.conditions import Status
from tunewright_operator.api.kinds import GROUP
from tunewright_operator.api.resource import (
    ApiModel,
    LabelSelector,
    NameReference,
    Resource,
    S3Location,
    ScoreMetric,
    Storage,
)


class Verb(StrEnum):
    """What a person may ask for by the annotation ``tunewright.dev/<verb>: <revision>@<nonce>``."""

    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"
    ROLLBACK = "rollback"

    @property
    def annotation(self) -> str:
        """The annotation's key."""
        return f"{GROUP}/{self.value}"


class ServerReference(ApiModel):
    """The ModelServer; an unset namespace means the deployment's own."""

    name: str
    namespace: str | None = None


class AdapterChoice(ApiModel):
    """Which adapter: exactly one is set."""

    fine_tune_job_ref: NameReference | None = None
    fine_tune_job_selector: LabelSelector | None = None
    uri: str | None = None


class EvaluateStep(ApiModel):
    """Ask the held-out set of the real servers, at weight 0."""


class ObserveStep(ApiModel):
    """Watch live metrics until both arms have enough requests or the time is over."""

    min_requests: int = 100
    max_seconds: int = 1800


class PauseStep(ApiModel):
    """Wait: for a time, or without one for a person's promote annotation."""

    seconds: int | None = None


class RolloutStep(ApiModel):
    """One step: exactly one field is set."""

    evaluate: EvaluateStep | None = None
    set_weight: int | None = None
    observe: ObserveStep | None = None
    pause: PauseStep | None = None


class StickyKey(ApiModel):
    """Where a request's sticky key is found: exactly one is set."""

    header: str | None = None
    body_field: str | None = None


class Rollout(ApiModel):
    """The way from weight 0 to 100; after the last step the candidate gets 100 and bakes."""

    steps: tuple[RolloutStep, ...]
    sticky_by: tuple[StickyKey, ...] = (StickyKey(header="x-session-id"), StickyKey(body_field="user"))
    on_inconclusive: Literal["Pause", "Rollback", "Promote"] = "Pause"
    bake_seconds: int = 600


class EvaluationDataset(ApiModel):
    """A held-out set other than the job's own: a JSONL object."""

    s3: S3Location


class ComparedMetric(ScoreMetric):
    """An offline metric with a non-inferiority margin against the incumbent."""

    max_regression: str | None = None


class DeploymentEvaluation(ApiModel):
    """What the evaluate step asks and demands."""

    dataset: EvaluationDataset | None = None
    max_samples: int = 400
    max_tokens: int = 256
    metrics: tuple[ComparedMetric, ...] = ()


class Guardrail(ApiModel):
    """A live guardrail: ``minimum`` is the share of good answers, ``max_ratio`` applies to Latency's p95."""

    type: LiveMetricType
    max_regression: str | None = None
    max_ratio: str | None = None
    minimum: str | None = None


class Analysis(ApiModel):
    """Live evidence; all metrics and steps of a rollout share one error budget of 1 - ``confidence``."""

    metrics: tuple[Guardrail, ...] = ()
    confidence: str = "0.95"


class OutputContract(ApiModel):
    """What every live answer must satisfy; at least one is set."""

    json_schema: dict[str, Any] | None = None
    max_tokens: int | None = None


class AdapterDeploymentSpec(ApiModel):
    """What to serve, and how a new adapter gets there."""

    model_name: str
    server_ref: ServerReference
    adapter: AdapterChoice
    storage: Storage
    rollout: Rollout
    evaluation: DeploymentEvaluation = DeploymentEvaluation()
    analysis: Analysis = Analysis()
    output_contract: OutputContract | None = None
    paused: bool = False
    history_limit: int = 10


class SourceJob(ApiModel):
    """The FineTuneJob that a revision came from."""

    name: str
    uid: str


class Revision(ApiModel):
    """What a revision needs, copied when it is accepted, so that deleting its job changes nothing."""

    revision: str
    digest: str
    uri: str
    rank: int
    base_model_digest: str
    evaluation_dataset_uri: str = Field(default="", alias="evaluationDatasetURI")
    source_job: SourceJob | None = None


class StableRevision(Revision):
    """The revision that survived its bake; ``since`` is RFC 3339."""

    since: str


class Outcome(StrEnum):
    """How a candidate ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"


class Ending(ApiModel):
    """A decision to withdraw a candidate, recorded before its traffic moves back."""

    outcome: Outcome
    reason: str
    message: str = ""


class CandidateRevision(Revision):
    """The revision on its way.

    ``step`` is an index into ``rollout.steps``; one past the last is the bake. ``weight`` is the percentage that the
    plan gives it.
    """

    accepted_at: str
    weight: int = 0
    step: int = 0
    step_started_at: str | None = None
    plan_generation: int | None = None
    """The plan from which on the step's evidence counts."""
    verdict: Literal["Pass", "Fail", "Inconclusive", "Error"] | None = None
    reasons: tuple[str, ...] = ()
    detectable_drop: str | None = None
    ending: Ending | None = None
    report_uri: str | None = Field(default=None, alias="reportURI")
    observation: dict[str, Any] | None = None
    """Sufficient statistics of the live evidence; only `domain.evidence.observation` knows its form."""

    def begin_step(self, step: int) -> Self:
        """Return the candidate before the start of a step, without what belongs to the step before.

        The observation stays: the next window and the bake compare with it.
        """
        return self.updated(
            step=step, step_started_at=None, plan_generation=None, verdict=None, reasons=(), detectable_drop=None
        )


class Convergence(ApiModel):
    """Replicas that should serve the plan's decision, and those that report it."""

    desired: int = 0
    converged: int = 0


class ConsideredJob(ApiModel):
    """The newest job that the selector has accepted: it moves forward only."""

    name: str
    uid: str
    completion_time: str


class HistoryEntry(Revision):
    """A candidate that ended; ``from``/``to`` are when it was accepted and when it ended, RFC 3339."""

    outcome: Outcome
    reason: str
    message: str = ""
    from_: str = Field(alias="from")
    to: str
    report_uri: str | None = Field(default=None, alias="reportURI")


class HandledRequest(ApiModel):
    """The annotation that was acted on last: a repeated or stale one does nothing."""

    verb: Verb
    value: str
    at: str


class AdapterDeploymentStatus(Status):
    """Everything durable about a rollout; ``history`` has the newest entry first."""

    stable: StableRevision | None = None
    candidate: CandidateRevision | None = None
    convergence: Convergence | None = None
    last_considered_job: ConsideredJob | None = None
    last_handled_requests: tuple[HandledRequest, ...] = ()
    history: tuple[HistoryEntry, ...] = ()


class AdapterDeployment(Resource):
    """An AdapterDeployment object."""

    spec: AdapterDeploymentSpec
    status: AdapterDeploymentStatus = AdapterDeploymentStatus()

    @property
    def server_namespace(self) -> str:
        """The namespace of the ModelServer."""
        return self.spec.server_ref.namespace or self.metadata.namespace or ""
