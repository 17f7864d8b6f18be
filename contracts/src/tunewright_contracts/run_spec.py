"""What the operator tells a trainer pod, and what the pod answers.

The operator writes one `RunSpec` as JSON into a ConfigMap mounted at `RUN_SPEC_PATH`. A phase ends with a
`PhaseResult` as the container's termination message (at most 4 KiB) and with files in S3.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from tunewright_contracts.adapter_manifest import JobReference, Score
from tunewright_contracts.document import Decimal, Document, Message, Sha256

RUN_SPEC_PATH = "/etc/tunewright/run.json"
SOURCES_ROOT = "/etc/tunewright/sources"
"""ConfigMap sources are mounted at ``<SOURCES_ROOT>/<source name>/``."""
CA_BUNDLE_PATH = "/etc/tunewright/ca/ca.crt"
MAX_TERMINATION_MESSAGE_BYTES = 4096


class S3Source(Message):
    """An object or a prefix in S3."""

    uri: str


class HuggingFaceSource(Message):
    """A repository on the Hugging Face Hub at a commit."""

    repository: str
    revision: str


class BaseModelSource(Message):
    """Where a base model's files come from: exactly one source, and the digest that inspection recorded."""

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None
    digest: Sha256
    revision: str = ""
    context_length: int
    chat_template: str = ""
    target_modules: tuple[str, ...] = ()


class DatasetFormat(StrEnum):
    """How a record is read."""

    AUTO = "Auto"
    MESSAGES = "Messages"
    PROMPT_COMPLETION = "PromptCompletion"


class DatasetSource(Message):
    """One source of records: ``s3``, or a ConfigMap mounted at ``<SOURCES_ROOT>/<name>/``."""

    name: str
    s3: S3Source | None = None
    config_map: bool = False
    format: DatasetFormat = DatasetFormat.AUTO


class DatasetSpec(Message):
    """Sources, split and validation rules; percentages are of all unique records."""

    sources: tuple[DatasetSource, ...] = Field(min_length=1)
    system_prompt: str = ""
    validation_percent: int = 5
    evaluation_percent: int = 10
    deduplication: Literal["None", "Exact"] = "Exact"
    on_invalid_record: Literal["Skip", "Fail"] = "Skip"
    max_invalid_percent: int = 5


class LoraSpec(Message):
    """LoRA shape (Hu et al. 2021): rank, scaling alpha, dropout and the modules that get an adapter."""

    rank: int = 16
    alpha: int = 16
    dropout: Decimal = "0.0"
    target_modules: tuple[str, ...] = ()


class TrainingSpec(Message):
    """Resolved hyperparameters; ``batch_size`` is global, ``max_sequence_length`` 0 means Auto."""

    quantization: Literal["None", "NF4"] = "NF4"
    lora: LoraSpec = LoraSpec()
    epochs: int = 3
    max_steps: int | None = None
    learning_rate: Decimal = "0.0002"
    batch_size: int = 8
    micro_batch_size: int | None = None
    max_sequence_length: int = 0
    seed: int = 3407
    checkpoint_steps: int = 50
    warmup_percent: int = 5


class MetricType(StrEnum):
    """Scorers of answers; each is one file in `tunewright_evaluator.scorers`."""

    EXACT_MATCH = "ExactMatch"
    JSON_SCHEMA = "JSONSchema"
    CONTAINS = "Contains"


class MetricSpec(Message):
    """One offline metric: ``minimum`` is a bound on the mean score, ``max_regression`` a non-inferiority margin."""

    type: MetricType
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    values: tuple[str, ...] = ()
    minimum: Decimal | None = None
    max_regression: Decimal | None = None


class EvaluationSpec(Message):
    """What the trainer scores on the held-out split."""

    max_samples: int = 200
    max_tokens: int = 256
    metrics: tuple[MetricSpec, ...] = ()


class RunSpec(Document):
    """Everything that one attempt of a FineTuneJob needs; the same document serves prepare and train."""

    job: JobReference
    attempt: int = 1
    base_model: BaseModelSource
    dataset: DatasetSpec
    training: TrainingSpec
    evaluation: EvaluationSpec
    output_uri: str
    run_uri: str
    """``<output.uri>/runs/<namespace>/<name>-<uid8>``."""
    dataset_uri: str | None = None
    """The prepared data; set for train, and for prepare None until it is known."""
    pod_uid: str = ""


class DatasetSummary(Message):
    """Counts of the prepared data: records of each split, invalid ones, duplicates, tokens over all records."""

    digest: Sha256
    uri: str
    train: int
    validation: int
    evaluation: int
    skipped: int = 0
    duplicates: int = 0
    tokens: int | None = None
    max_tokens: int | None = None
    first_problems: tuple[str, ...] = ()
    """The first invalid records, each as ``<file>:<line>: <reason>``."""
    problems_uri: str = ""
    """Where all of them are named: a JSONL object in the folder of the run that prepared the data."""


class AdapterSummary(Message):
    """The published adapter: ``bytes`` of its weights."""

    uri: str
    digest: Sha256
    rank: int
    bytes: int
    base_model_digest: Sha256
    evaluation_dataset_uri: str = ""
    """The held-out split that the adapter never saw: a JSONL object."""


class BaseModelSummary(Message):
    """What inspection found: the digest over config, tokenizer and weights."""

    digest: Sha256
    revision: str = ""
    bytes: int
    files: int


class Outcome(StrEnum):
    """How a phase ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """For good: the same input fails again; a person must change something."""
    RETRYABLE = "Retryable"
    """A passing cause (S3 away, out of memory, preempted): another attempt may succeed."""
    SUSPENDED = "Suspended"
    """Ended on SIGTERM with a checkpoint."""


class PhaseResult(Document):
    """The termination message of `prepare`, `train` and `inspect`.

    ``reason`` is a CamelCase word of the table in docs/reference/conditions.md; ``message`` says what was wrong,
    where, and what to do.
    """

    outcome: Outcome
    reason: str
    message: str
    dataset: DatasetSummary | None = None
    adapter: AdapterSummary | None = None
    base_model: BaseModelSummary | None = None
    scores: tuple[Score, ...] = ()
    progress_step: int | None = None
    gpu_seconds: int | None = None

    def to_termination_message(self) -> str:
        """Return JSON within `MAX_TERMINATION_MESSAGE_BYTES`, shortening what a person reads before facts."""
        result = self
        text = result.to_json()
        if len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and result.dataset is not None:
            result = result.model_copy(update={"dataset": result.dataset.model_copy(update={"first_problems": ()})})
            text = result.to_json()
        while len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and result.message:
            result = result.model_copy(
                update={"message": result.message[: len(result.message) * 3 // 4].rstrip() + "…"}
            )
            text = result.to_json()
        return text
