"""The run specification of a trainer pod: one `RunSpec` as JSON, in a ConfigMap that is mounted at `RUN_SPEC_PATH`."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from tunewright_contracts.adapter_manifest import JobReference
from tunewright_contracts.content_file import PlainName
from tunewright_contracts.document import Decimal, Document, Message, Sha256
from tunewright_contracts.locations import BaseModelSource, S3Source
from tunewright_contracts.metrics import MetricSpec


class DatasetFormat(StrEnum):
    """The format of a source's records."""

    AUTO = "Auto"
    MESSAGES = "Messages"
    PROMPT_COMPLETION = "PromptCompletion"


class DatasetSource(Message):
    """One source of records: ``s3``, or a ConfigMap mounted at ``<SOURCES_ROOT>/<name>/``."""

    name: PlainName
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


class EvaluationSpec(Message):
    """How the trainer scores the adapter on the held-out split."""

    max_samples: int = 200
    max_tokens: int = 256
    metrics: tuple[MetricSpec, ...] = ()


class RunSpec(Document):
    """Everything that one attempt of a FineTuneJob needs; prepare and train read the same kind of document."""

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
    """The address of the prepared data: set for train; None for prepare until the data exists."""
    dataset_digest: Sha256 | None = None
    """The digest of the prepared records, as the status recorded it; None if an earlier release wrote the document."""
    dataset_manifest_digest: Sha256 | None = None
    """The digest of the manifest's bytes; None if an earlier release prepared the data."""
    checkpoint_step: int | None = None
    """The step of the newest checkpoint that earlier attempts reported; None if they reported none."""
