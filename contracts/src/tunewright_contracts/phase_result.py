"""What a trainer pod answers: the termination message of its container, at most 4 KiB."""

from __future__ import annotations

from enum import StrEnum

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.document import Document, Message, Sha256

MAX_TERMINATION_MESSAGE_BYTES = 4096


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

    def to_termination_message(self) -> str:
        """Return JSON within `MAX_TERMINATION_MESSAGE_BYTES`, shortening what a person reads before facts."""
        result = self
        text = result.to_json()
        if len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and result.dataset is not None:
            result = result.updated(dataset=result.dataset.updated(first_problems=()))
            text = result.to_json()
        while len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and len(result.message) > 1:
            result = result.updated(message=result.message[: len(result.message) * 3 // 4 - 1].rstrip() + "…")
            text = result.to_json()
        return text
