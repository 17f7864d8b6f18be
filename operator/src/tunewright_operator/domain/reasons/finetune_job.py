"""Reasons of a FineTuneJob's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


class FineTuneJobReason(Reason):
    """Reasons of a FineTuneJob's conditions that the operator itself finds."""

    PENDING = ("Pending", "The step has not started.", "No action needed: it starts when the previous step is done.")
    PREPARING = (
        "Preparing",
        "A Job without an accelerator reads, checks and splits the dataset.",
        "No action needed.",
    )
    PREPARED = ("Prepared", "The dataset is valid, split and stored.", "No action needed: training follows.")
    STARTING = ("Starting", "The train Job exists; its pod does not train yet.", "No action needed.")
    TRAINING = ("Training", "The adapter is being trained.", "No action needed.")
    TRAINED = ("Trained", "The training is done.", "No action needed: the evaluation follows.")
    EVALUATING = (
        "Evaluating",
        "The held-out split is being scored with the adapter off and on.",
        "No action needed.",
    )
    EVALUATED = ("Evaluated", "The held-out split is scored.", "No action needed: publishing follows.")
    PUBLISHING = ("Publishing", "The adapter is being written to storage.", "No action needed.")
    PUBLISHED = ("Published", "The adapter and its manifest are in storage.", "No action needed: the job is done.")
    SUCCEEDED = (
        "Succeeded",
        "The adapter is published; its address is in `status.adapter`.",
        "No action needed: an AdapterDeployment can serve the adapter.",
    )
    SUSPENDED = ("Suspended", "`spec.suspend` is true.", "Set it to false to continue from the newest checkpoint.")
    RETRYING = (
        "Retrying",
        "An attempt failed with an error that a retry may fix; the next attempt starts after a pause.",
        (
            "No action needed if the next attempt succeeds; "
            "otherwise fix what the message names before `spec.retry.maxRestarts` is reached."
        ),
        TRANSIENT,
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        "A ConfigMap that `spec.dataset.sources` names does not exist in the job's namespace.",
        "Create the ConfigMap, or create another job with correct `spec.dataset.sources`.",
    )
    SOURCE_OVERLAPS_OUTPUT = (
        "SourceOverlapsOutput",
        "A source in `spec.dataset.sources` is `spec.output.uri`, or above or below it: the job would read its output.",
        "Keep the dataset and the output in folders that do not contain each other.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "The job's pods ran longer than `spec.activeDeadlineSeconds`.",
        "Raise it to continue from the newest checkpoint.",
    )
    RESTARTS_EXHAUSTED = (
        "RestartsExhausted",
        (
            "An attempt failed and `spec.retry.maxRestarts` allows no other; "
            "the reason of the condition Succeeded shows why it failed."
        ),
        "Fix the cause and raise `spec.retry.maxRestarts` to continue from the newest checkpoint.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "The pod or the accelerator ran out of memory.",
        "Raise `resources.limits`, or lower `batchSize`, `maxSequenceLength` or the rank.",
    )
    POD_KILLED = (
        "PodKilled",
        "The container ended without a result; the message has its exit code and its last log lines.",
        "Fix the error shown in the last log lines.",
    )
    POD_EVICTED = (
        "PodEvicted",
        "The kubelet evicted the pod; the message is from the kubelet.",
        "Raise the resource that the message names.",
    )
    POD_LOST = (
        "PodLost",
        "The pod disappeared before its result was read; the phase runs again.",
        "No action needed.",
    )
    PREEMPTED = (
        "Preempted",
        "The cluster removed the pod (preemption, drain); the job resumes. This is not counted as a restart.",
        "No action needed.",
    )
    INTERRUPTED = (
        "Interrupted",
        "The pod was stopped and wrote a checkpoint; the job resumes. This is not counted as a restart.",
        "No action needed.",
    )
    RESULT_INCOMPLETE = (
        "ResultIncomplete",
        "The pod reported success with an incomplete result: operator and trainer image are of different releases.",
        "Install the operator and the trainer image of the same release.",
    )
