"""Why a phase ended, in words that become the reason and message of a FineTuneJob's condition."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of `PhaseResult` beside those of storage (docs/reference/conditions.md)."""

    PREPARED = "Prepared"
    """The dataset is split and stored."""
    PUBLISHED = "Published"
    """The adapter is trained, scored and stored."""
    SUSPENDED = "Suspended"
    """Ended by SIGTERM; training continues from its last checkpoint."""
    INVALID_RUN_SPEC = "InvalidRunSpec"
    """The run document cannot be read: operator and trainer image do not fit together."""
    DATASET_NOT_FOUND = "DatasetNotFound"
    """A source names nothing that holds records."""
    DATASET_EMPTY = "DatasetEmpty"
    """The files are there and hold no record."""
    INVALID_RECORDS = "InvalidRecords"
    """More records are unusable than the job tolerates; the message names the first by file and line."""
    TOO_FEW_RECORDS = "TooFewRecords"
    """A split that was asked for got no record."""
    DATASET_CHANGED = "DatasetChanged"
    """The prepared data in the bucket is not what its manifest says."""
    NO_TOKENIZER = "NoTokenizer"
    """The base model has no usable tokenizer.json."""
    INVALID_CHAT_TEMPLATE = "InvalidChatTemplate"
    """The base model has no chat template, or one that cannot be used."""
    INVALID_METRIC = "InvalidMetric"
    """A metric's own settings are unusable."""
    INVALID_TRAINING = "InvalidTraining"
    """Training settings that this base model or library refuses."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Memory did not suffice for one micro-batch."""
    DISK_FULL = "DiskFull"
    """The pod's own volume is full."""
    DIVERGED = "Diverged"
    """Loss or weights became NaN or infinite."""
    BELOW_MINIMUM = "BelowMinimum"
    """A held-out score is under its minimum; nothing was published."""
    INTERNAL_ERROR = "InternalError"
    """Something nobody foresaw; the message ends with the process's last words."""


class TrainerError(Exception):
    """A phase cannot go on; the message says what was wrong, where, and what to do."""

    def __init__(self, reason: Reason, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable
