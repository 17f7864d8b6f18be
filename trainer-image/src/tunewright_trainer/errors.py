"""Why a phase ended: the reason and the message of a FineTuneJob's condition."""

from __future__ import annotations

from tunewright_contracts import reasons


class Reason(reasons.Reason):
    """Reasons of a `PhaseResult`, in addition to those of storage (docs/reference/conditions.md)."""

    PREPARED = ("Prepared", "The dataset is split and stored.", "No action needed: training starts automatically.")
    PUBLISHED = (
        "Published",
        "The adapter is trained, scored and stored.",
        "No action needed: its address is in `status.adapter`.",
    )
    SUSPENDED = (
        "Suspended",
        "SIGTERM stopped the pod; training resumes from its last checkpoint.",
        "No action needed: the next attempt starts automatically, unless `spec.suspend` is true.",
    )
    INVALID_RUN_SPEC = (
        "InvalidRunSpec",
        "The trainer cannot read its run specification or its key; operator and image may be of different releases.",
        "Install the operator and the trainer image of the same release.",
    )
    DATASET_NOT_FOUND = (
        "DatasetNotFound",
        "A source contains no file with records.",
        "Upload a file whose name ends in `.jsonl`, or correct `spec.dataset.sources`.",
    )
    SOURCE_OVERLAPS_OUTPUT = (
        "SourceOverlapsOutput",
        "A source in `spec.dataset.sources` is `spec.output.uri`, or above or below it: the job would read its output.",
        "Keep the dataset and the output in folders that do not contain each other.",
    )
    DATASET_EMPTY = (
        "DatasetEmpty",
        "The files exist, but contain no records.",
        "Write one JSON record per line into them.",
    )
    INVALID_RECORDS = (
        "InvalidRecords",
        (
            "More records are invalid than the job tolerates; "
            "the message names the first ones by file and line, and the file that lists them."
        ),
        "Correct or remove them, or tolerate more: `onInvalidRecord` and `maxInvalidPercent` of `spec.dataset`.",
    )
    TOO_FEW_RECORDS = (
        "TooFewRecords",
        "A split that the job asks for has no records.",
        "Add records with other questions, or set the percentage of the empty split in `spec.dataset.split` to 0.",
    )
    DATASET_CHANGED = (
        "DatasetChanged",
        "The prepared data in the bucket does not match its manifest.",
        "Delete the folder that the message names; the next job prepares the data again.",
    )
    NO_TOKENIZER = (
        "NoTokenizer",
        "The base model has no usable tokenizer.json.",
        "Save the tokenizer beside the weights as the message describes, and create another BaseModel.",
    )
    INVALID_CHAT_TEMPLATE = (
        "InvalidChatTemplate",
        (
            "The base model has no chat template, or one that cannot be used with the job's records or with "
            "`spec.dataset.systemPrompt`; the message describes why."
        ),
        "Set or correct `spec.training.chatTemplate` of the BaseModel, or remove the field that the message names.",
    )
    INVALID_METRIC = (
        "InvalidMetric",
        "A metric has invalid settings.",
        "Correct the metric in `spec.evaluation.metrics` as the message describes.",
    )
    INVALID_TRAINING = (
        "InvalidTraining",
        "The base model or a training library rejects the job's training settings.",
        "Correct the field that the message names, or choose another base model.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "The trainer ran out of memory while it loaded the model, trained on records or answered held-out records.",
        "Raise `resources.limits`, or lower `batchSize`, `maxSequenceLength` or the rank.",
    )
    DISK_FULL = (
        "DiskFull",
        "The pod's volume is full.",
        "Raise `ephemeral-storage` in `resources.limits`: it must hold the base model and two checkpoints.",
    )
    DIVERGED = (
        "Diverged",
        "The loss, the weights or all gradients became NaN or infinite.",
        "Lower `spec.training.learningRate`, or look for unusual records.",
    )
    NOTHING_TO_LEARN = (
        "NothingToLearn",
        "No token of the prepared records is learned, so that the loss has no value.",
        "Correct `spec.training.chatTemplate` of the BaseModel, and create another job.",
    )
    NOT_SERVABLE = (
        "AdapterNotServable",
        "Every server would refuse the trained adapter, for the reason in the message; nothing was published.",
        "Correct the training settings that the message names, and create another job.",
    )
    BELOW_MINIMUM = (
        "BelowMinimum",
        "A held-out score is below its minimum; nothing was published.",
        (
            "Provide more or better data, train longer, or lower the metric's `minimum`; "
            "the message names the file with all answers."
        ),
    )
    INTERNAL_ERROR = (
        "InternalError",
        "An unexpected error, which the message shows.",
        "No action needed if the next attempt succeeds; otherwise report the message with the pod's log.",
    )


class TrainerError(Exception):
    """A phase cannot continue; the message states what was wrong, where, and what to do."""

    def __init__(self, reason: Reason, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retryable = retryable
