"""Why a phase ended, in words that become the reason and message of a FineTuneJob's condition."""

from __future__ import annotations

from tunewright_contracts import reasons


class Reason(reasons.Reason):
    """Reasons of `PhaseResult` beside those of storage (docs/reference/conditions.md)."""

    PREPARED = ("Prepared", "The dataset is split and stored.", "Nothing: training follows by itself.")
    PUBLISHED = (
        "Published",
        "The adapter is trained, scored and stored.",
        "Nothing: its address is in `status.adapter`.",
    )
    SUSPENDED = (
        "Suspended",
        "Ended by SIGTERM; training continues from its last checkpoint.",
        "Nothing: the next attempt starts by itself, unless `spec.suspend` is true.",
    )
    INVALID_RUN_SPEC = (
        "InvalidRunSpec",
        "The run document cannot be read: operator and trainer image do not fit together.",
        "Install operator and trainer image of one release.",
    )
    DATASET_NOT_FOUND = (
        "DatasetNotFound",
        "A source names nothing that holds records.",
        "Upload a file whose name ends in `.jsonl`, or correct `spec.dataset.sources`.",
    )
    DATASET_EMPTY = (
        "DatasetEmpty",
        "The files are there and hold no record.",
        "Write one JSON record per line into them.",
    )
    INVALID_RECORDS = (
        "InvalidRecords",
        (
            "More records are unusable than the job tolerates; "
            "the message names the first by file and line, and where all are named."
        ),
        "Correct or remove them, or tolerate more: `spec.dataset.onInvalidRecord` and `maxInvalidPercent`.",
    )
    TOO_FEW_RECORDS = (
        "TooFewRecords",
        "A split that was asked for got no record.",
        "Add records, or set the percentage of the empty split in `spec.dataset.split` to 0.",
    )
    DATASET_CHANGED = (
        "DatasetChanged",
        "The prepared data in the bucket is not what its manifest says.",
        "Delete the folder that the message names; the next job prepares it anew.",
    )
    NO_TOKENIZER = (
        "NoTokenizer",
        "The base model has no usable tokenizer.json.",
        "Save the tokenizer beside the weights as the message says, and create another BaseModel.",
    )
    INVALID_CHAT_TEMPLATE = (
        "InvalidChatTemplate",
        "The base model has no chat template, or one that cannot be used.",
        "Set or correct `spec.training.chatTemplate` of the BaseModel.",
    )
    INVALID_METRIC = (
        "InvalidMetric",
        "A metric's own settings are unusable.",
        "Correct the metric in `spec.evaluation.metrics` as the message says.",
    )
    INVALID_TRAINING = (
        "InvalidTraining",
        "Training settings that this base model or library refuses.",
        "Correct the field that the message names, or choose another base model.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "Memory did not suffice for one record: to train on it, or to answer it.",
        "Raise `resources.limits`, or lower `batchSize`, `maxSequenceLength` or the rank.",
    )
    DISK_FULL = (
        "DiskFull",
        "The pod's own volume is full.",
        "Raise `ephemeral-storage` in `resources.limits`: the base model and two checkpoints must fit.",
    )
    DIVERGED = (
        "Diverged",
        "Loss or weights became NaN or infinite.",
        "Lower `spec.training.learningRate`, or look for odd records.",
    )
    BELOW_MINIMUM = (
        "BelowMinimum",
        "A held-out score is under its minimum; nothing was published.",
        (
            "Give more or better data, train longer, or lower the metric's `minimum`; "
            "the message says where each answer is."
        ),
    )
    INTERNAL_ERROR = (
        "InternalError",
        "Something nobody foresaw; the message ends with the process's last words.",
        "Nothing, if the next attempt succeeds; else report the message, with the pod's log.",
    )


class TrainerError(Exception):
    """A phase cannot go on; the message says what was wrong, where, and what to do."""

    def __init__(self, reason: Reason, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable
