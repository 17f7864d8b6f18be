"""AdapterDeployment: an alias, and the evaluated rollout of each new adapter to it."""

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
    """A manual request, made by the annotation ``tunewright.dev/<verb>: <revision>@<request ID>``."""

    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"
    ROLLBACK = "rollback"

    @property
    def annotation(self) -> str:
        """The annotation's key."""
        return f"{GROUP}/{self.value}"


class ServerReference(ApiModel):
    """A reference to the ModelServer; the default namespace is that of the deployment."""

    name: str
    namespace: str | None = None


class AdapterChoice(ApiModel):
    """Which adapter to serve: exactly one field is set."""

    fine_tune_job_ref: NameReference | None = None
    fine_tune_job_selector: LabelSelector | None = None
    uri: str | None = None


class EvaluateStep(ApiModel):
    """Score the candidate on the held-out set, on the real servers, at weight 0."""


class ObserveStep(ApiModel):
    """Compare live metrics until both arms have enough requests or the time is over."""

    min_requests: int = 100
    max_seconds: int = 1800


class PauseStep(ApiModel):
    """Wait for a fixed time or, without ``seconds``, for the promote annotation."""

    seconds: int | None = None


class RolloutStep(ApiModel):
    """One step: exactly one field is set."""

    evaluate: EvaluateStep | None = None
    set_weight: int | None = None
    observe: ObserveStep | None = None
    pause: PauseStep | None = None

    @property
    def kind(self) -> str:
        """The name of the field that is set."""
        if self.evaluate is not None:
            return "evaluate"
        if self.set_weight is not None:
            return "setWeight"
        return "pause" if self.observe is None else "observe"


class StickyKey(ApiModel):
    """Which part of a request is its sticky key: exactly one field is set."""

    header: str | None = None
    body_field: str | None = None


class Rollout(ApiModel):
    """How a candidate gets from weight 0 to 100; after the last step it gets weight 100 and bakes."""

    steps: tuple[RolloutStep, ...]
    sticky_by: tuple[StickyKey, ...] = (StickyKey(header="x-session-id"),)
    on_inconclusive: Literal["Pause", "Rollback", "Promote"] = "Pause"
    bake_seconds: int = 600


class EvaluationDataset(ApiModel):
    """A held-out set to use instead of the one of the adapter's job: a JSONL object."""

    s3: S3Location


class ComparedMetric(ScoreMetric):
    """An offline metric with a non-inferiority margin against the incumbent."""

    max_regression: str | None = None


class DeploymentEvaluation(ApiModel):
    """What the evaluate step measures, on which records, and the required results."""

    dataset: EvaluationDataset | None = None
    max_samples: int = 400
    max_tokens: int = 256
    metrics: tuple[ComparedMetric, ...] = ()


class Guardrail(ApiModel):
    """Limits of one live metric: ``minimum`` for the share of good answers, ``max_ratio`` for the p95 of Latency."""

    type: LiveMetricType
    max_regression: str | None = None
    max_ratio: str | None = None
    minimum: str | None = None


class Analysis(ApiModel):
    """What observe steps and the bake measure; all of them share one error budget of 1 - ``confidence``."""

    metrics: tuple[Guardrail, ...] = ()
    confidence: str = "0.95"


class OutputContract(ApiModel):
    """What every live answer must satisfy; at least one field is set."""

    json_schema: dict[str, Any] | None = None
    max_tokens: int | None = None


class AdapterDeploymentSpec(ApiModel):
    """What to serve, and how a new adapter is rolled out."""

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
    """The FineTuneJob that a revision came from; earlier versions did not record when it was created."""

    name: str
    uid: str
    creation_time: str | None = None


class Revision(ApiModel):
    """All that serving a revision needs, copied when it is accepted: its job may be deleted afterwards."""

    revision: str
    digest: str
    uri: str
    rank: int
    base_model_digest: str
    evaluation_dataset_uri: str = Field(default="", alias="evaluationDatasetURI")
    evaluation_dataset_digest: str | None = None
    stop_token_ids: tuple[int, ...] | None = Field(default=None, alias="stopTokenIDs")
    source_job: SourceJob | None = None


class StableRevision(Revision):
    """The revision that was promoted last; ``since`` is an RFC 3339 time."""

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


class RequestCounts(ApiModel):
    """The requests of one revision in a window. Of ``requests``, ``abandoned`` had no complete answer."""

    requests: int = 0
    answers: int = 0
    abandoned: int = 0


class ObservedRequests(ApiModel):
    """The requests of both revisions in the current window."""

    candidate: RequestCounts = RequestCounts()
    stable: RequestCounts = RequestCounts()


class EvaluationProgress(ApiModel):
    """How far the evaluation of the current step is: `answered` of `total` answers that it asks for.

    ``dataset_digest`` is that of the held-out records that it has read.

    ``engine`` identifies what the server's replicas run; it is absent if that is unknown, or has changed since the step
    began: then the answers are not kept.
    """

    progress: str | None = None
    answered: int = 0
    total: int = 0
    updated_at: str | None = None
    engine: str | None = None
    dataset_digest: str | None = None


class CandidateRevision(Revision):
    """The revision that is being rolled out.

    ``step`` is an index into ``rollout.steps``; one past the last is the bake. ``weight`` is its share of the traffic
    in percent, as the plan has it.
    """

    accepted_at: str
    weight: int = 0
    share: str | None = None
    """The measured share of the window's requests in percent, which should be about the weight."""
    observed: ObservedRequests | None = None
    step: int = 0
    seen_steps: tuple[str, ...] = ()
    """The spec's steps as last seen, each as JSON; empty in a status of an earlier version."""
    step_started_at: str | None = None
    plan_generation: int | None = None
    """The generation of the plan with which the step's evidence begins."""
    evaluation: EvaluationProgress | None = None
    verdict: Literal["Pass", "Fail", "Inconclusive", "Error"] | None = None
    reasons: tuple[str, ...] = ()
    detectable_drop: str | None = None
    ending: Ending | None = None
    kept_promotion: str | None = None
    """The value of a promote request that arrived before a step waited for it."""
    report_uri: str | None = Field(default=None, alias="reportURI")
    observation: dict[str, Any] | None = None
    """Sufficient statistics of the live evidence; only `domain.evidence` reads and writes its fields."""

    def begin_step(self, step: int) -> Self:
        """Return the candidate at the beginning of a step, without the results of the step before.

        The observation stays: the next window and the bake compare with it. A promote request that is kept stays, too.
        """
        return self.updated(
            step=step,
            step_started_at=None,
            plan_generation=None,
            verdict=None,
            reasons=(),
            detectable_drop=None,
            share=None,
            observed=None,
            evaluation=None,
        )


class Convergence(ApiModel):
    """The number of ready replicas, and of those that report the plan in force."""

    desired: int = 0
    converged: int = 0


class ConsideredJob(ApiModel):
    """The last job that was considered; jobs that were created before it are passed over.

    Earlier versions recorded ``completion_time`` instead; such a record is converted once.
    """

    name: str
    uid: str
    creation_time: str | None = None
    completion_time: str | None = None


class PassedOverJob(ApiModel):
    """A job that the selector matches and that does not become the candidate."""

    name: str
    uid: str
    creation_time: str
    reason: str
    message: str


class HistoryEntry(Revision):
    """A candidate that ended; ``from`` and ``to`` are the RFC 3339 times when it was accepted and when it ended."""

    outcome: Outcome
    reason: str
    message: str = ""
    from_: str = Field(alias="from")
    to: str
    report_uri: str | None = Field(default=None, alias="reportURI")


class HandledRequest(ApiModel):
    """The last manual request of a verb that was handled; a request with the same value is ignored.

    ``message`` explains why it did nothing; empty if it took effect or is kept.
    """

    verb: Verb
    value: str
    at: str
    message: str = ""


class StoredAnswers(ApiModel):
    """Answers in S3 that later evaluations reuse under the same ``key``, if the file has the ``digest``.

    ``asked_at`` is when the evaluation began that asked for them, ``reused_at`` that of the last one that reused them.
    """

    target: str
    key: str
    digest: str
    uri: str
    answers: int
    asked_at: str
    reused_at: str | None = None


class AdapterDeploymentStatus(Status):
    """The durable state of a rollout; ``history`` has the newest entry first."""

    stable: StableRevision | None = None
    candidate: CandidateRevision | None = None
    convergence: Convergence | None = None
    last_considered_job: ConsideredJob | None = None
    passed_over_jobs: tuple[PassedOverJob, ...] = ()
    last_handled_requests: tuple[HandledRequest, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    stored_answers: tuple[StoredAnswers, ...] = ()


class AdapterDeployment(Resource):
    """An AdapterDeployment object."""

    spec: AdapterDeploymentSpec
    status: AdapterDeploymentStatus = AdapterDeploymentStatus()

    @property
    def server_namespace(self) -> str:
        """The namespace of the ModelServer."""
        return self.spec.server_ref.namespace or self.metadata.namespace or ""
