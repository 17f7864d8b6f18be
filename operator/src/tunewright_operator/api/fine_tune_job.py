"""FineTuneJob: trains a LoRA adapter on a dataset and publishes it in S3."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from tunewright_contracts.metrics import MetricType
from tunewright_operator.api import labels
from tunewright_operator.api.conditions import Status
from tunewright_operator.api.resource import (
    ApiModel,
    NameReference,
    Resource,
    ResourceRequirements,
    S3Location,
    Scheduling,
    ScoreMetric,
    Storage,
)

DEFAULT_EPOCHS = 3


class DatasetSource(ApiModel):
    """One source of records: exactly one of ``s3`` and ``config_map``."""

    name: str
    s3: S3Location | None = None
    config_map: NameReference | None = None
    format: Literal["Auto", "Messages", "PromptCompletion"] = "Auto"


class Split(ApiModel):
    """Percentages of all unique records; the evaluation split is held out from training."""

    validation_percent: int = 5
    evaluation_percent: int = 10


class Dataset(ApiModel):
    """The data to train on, and how it is prepared."""

    sources: tuple[DatasetSource, ...]
    system_prompt: str = ""
    split: Split = Split()
    deduplication: Literal["None", "Exact"] = "Exact"
    on_invalid_record: Literal["Skip", "Fail"] = "Skip"
    max_invalid_percent: int = 5


class Lora(ApiModel):
    """The shape of the adapter; without ``target_modules``, those of the base model apply."""

    rank: int = 16
    alpha: int = 16
    dropout: str = "0.0"
    target_modules: tuple[str, ...] = ()


class Training(ApiModel):
    """The hyperparameters; at most one of ``epochs`` and ``max_steps`` is set, and the default is `DEFAULT_EPOCHS`."""

    quantization: Literal["None", "NF4"] = "NF4"
    lora: Lora = Lora()
    epochs: int | None = None
    max_steps: int | None = None
    learning_rate: str = "2e-4"
    """May carry an exponent: see `resource.plain_decimal`."""
    batch_size: int = 8
    max_sequence_length: int | Literal["Auto"] = "Auto"
    seed: int = 3407
    checkpoint_steps: int = 50


class Evaluation(ApiModel):
    """What is scored on the held-out split, without and with the adapter."""

    max_samples: int = 200
    max_tokens: int = 256
    metrics: tuple[ScoreMetric, ...] = (ScoreMetric(type=MetricType.EXACT_MATCH),)


class Output(ApiModel):
    """Where adapters, prepared data and runs are written."""

    uri: str


class Retry(ApiModel):
    """What follows a transient failure; a job that ``max_restarts`` stopped continues when the limit is raised."""

    max_restarts: int = 3
    out_of_memory: Literal["Fail", "ReduceMicroBatch"] = "ReduceMicroBatch"


class FineTuneJobSpec(ApiModel):
    """What to train; only ``suspend``, ``active_deadline_seconds`` and ``retry.max_restarts`` may change."""

    base_model_ref: NameReference
    storage: Storage
    dataset: Dataset
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    output: Output
    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    scheduling: Scheduling = Field(default_factory=Scheduling)
    retry: Retry = Retry()
    suspend: bool = False
    active_deadline_seconds: int = 86400


class FineTuneJobPhase(StrEnum):
    """A summary for people, derived from the conditions; programs read the conditions."""

    PENDING = "Pending"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    PUBLISHING = "Publishing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


class DatasetStatus(ApiModel):
    """The prepared data: records of each split."""

    digest: str
    uri: str
    train: int
    validation: int
    evaluation: int
    skipped: int = 0
    duplicates: int = 0
    tokens: int | None = None
    max_tokens: int | None = None
    manifest_digest: str | None = None
    """None in a status of an earlier version, as is ``evaluation_digest``."""
    evaluation_digest: str | None = None


class ProgressStatus(ApiModel):
    """The progress of the running attempt; losses are decimal strings, times are RFC 3339 times."""

    step: int = 0
    total_steps: int = 0
    percent: int = 0
    train_loss: str | None = None
    validation_loss: str | None = None
    tokens_per_second: int | None = None
    estimated_finish: str | None = None
    checkpoint_step: int | None = None
    reported_at: str | None = None
    """When the operator read it; None in a status of an earlier version."""


class ScoreStatus(ApiModel):
    """One metric on the held-out split, without (``base``) and with the adapter (``tuned``), as decimal strings."""

    type: str
    base: str | None = None
    tuned: str
    samples: int


class AdapterStatus(ApiModel):
    """The published adapter; an AdapterDeployment copies this when it accepts the adapter."""

    uri: str
    digest: str
    rank: int
    bytes: int
    base_model_digest: str
    evaluation_dataset_uri: str = Field(default="", alias="evaluationDatasetURI")
    evaluation_dataset_digest: str | None = None
    stop_token_ids: tuple[int, ...] | None = Field(default=None, alias="stopTokenIDs")


class FineTuneJobStatus(Status):
    """The durable state of a job."""

    phase: FineTuneJobPhase | None = None
    attempt: int = 0
    """The number of the current train Job, from 1; 0 before the first."""
    restarts: int = 0
    """Attempts that followed a failure; those that followed a suspension do not count."""
    micro_batch_size: int | None = None
    """The maximum micro-batch of the next attempt after memory ran out; unset: the trainer chooses."""
    start_time: str | None = None
    """When the first pod began to run."""
    active_seconds: int = 0
    """How long pods of ended Jobs ran; `active_deadline_seconds` is the limit."""
    completion_time: str | None = None
    dataset: DatasetStatus | None = None
    progress: ProgressStatus | None = None
    evaluation: tuple[ScoreStatus, ...] = ()
    adapter: AdapterStatus | None = None


class FineTuneJob(Resource):
    """A FineTuneJob object."""

    spec: FineTuneJobSpec
    status: FineTuneJobStatus = FineTuneJobStatus()

    @property
    def queue_name(self) -> str | None:
        """The Kueue queue that the train Job waits in, or None."""
        return self.metadata.labels.get(labels.QUEUE_NAME)
