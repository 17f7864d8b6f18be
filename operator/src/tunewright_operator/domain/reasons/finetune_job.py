"""Reasons of a FineTuneJob's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import TRANSIENT, Reason


class FineTuneJobReason(Reason):
    """Reasons of a FineTuneJob's conditions that the operator finds itself."""

    PENDING = ("Pending", "The step has not begun.", "Nothing: it begins when the step before it is done.")
    PREPARING = (
        "Preparing",
        "A Job without accelerator reads, checks and splits the dataset.",
        "Nothing: it goes on by itself.",
    )
    PREPARED = ("Prepared", "The dataset is valid, split and stored.", "Nothing: training follows by itself.")
    QUEUED = (
        "Queued",
        "The train Job waits for its queue's quota (Kueue).",
        "Nothing: it starts when the queue has room. If it stays, raise the queue's quota.",
    )
    STARTING = ("Starting", "The train Job exists; its pod has not begun to train.", "Nothing: it goes on by itself.")
    TRAINING = ("Training", "The adapter is being trained.", "Nothing: it goes on by itself.")
    TRAINED = ("Trained", "Training ended.", "Nothing: evaluation follows by itself.")
    EVALUATING = (
        "Evaluating",
        "The held-out split is scored with the adapter off and on.",
        "Nothing: it goes on by itself.",
    )
    EVALUATED = ("Evaluated", "The held-out split was scored.", "Nothing: publication follows by itself.")
    PUBLISHING = ("Publishing", "The adapter is being written to storage.", "Nothing: it goes on by itself.")
    PUBLISHED = ("Published", "The adapter and its manifest are in storage.", "Nothing: the job is done.")
    SUCCEEDED = (
        "Succeeded",
        "The adapter is published; its address is in `status.adapter`.",
        "Nothing: an AdapterDeployment may serve it.",
    )
    SUSPENDED = ("Suspended", "`spec.suspend` is true.", "Set it to false to continue from the newest checkpoint.")
    RETRYING = (
        "Retrying",
        "An attempt failed for a reason that may pass; the next one starts after a pause.",
        (
            "Nothing, if the next attempt succeeds; "
            "else mend what the message names before `spec.retry.maxRestarts` is reached."
        ),
        TRANSIENT,
    )
    CONFIG_MAP_NOT_FOUND = (
        "ConfigMapNotFound",
        "A ConfigMap that a dataset source names does not exist in the job's namespace.",
        "Create it, or correct `spec.dataset.sources`.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "Pods of this job ran longer than `spec.activeDeadlineSeconds`.",
        "Raise it to continue from the newest checkpoint.",
    )
    RESTARTS_EXHAUSTED = (
        "RestartsExhausted",
        "An attempt failed and `spec.retry.maxRestarts` allows no other; Succeeded's reason says why it failed.",
        "Mend the cause and raise `spec.retry.maxRestarts` to continue from the newest checkpoint.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "The pod or the accelerator ran out of memory.",
        "Raise `resources.limits`, or lower `batchSize`, `maxSequenceLength` or the rank.",
    )
    POD_KILLED = (
        "PodKilled",
        "The container ended without a result; the message holds exit code and last words.",
        "Mend what the last words name.",
    )
    POD_EVICTED = ("PodEvicted", "The kubelet evicted the pod; the message is its own.", "Raise the resource it names.")
    POD_LOST = (
        "PodLost",
        "The pod disappeared before its result was read; the phase runs again.",
        "Nothing: it goes on by itself.",
    )
    PREEMPTED = (
        "Preempted",
        "The cluster took the pod away (preemption, drain); the job resumes. No restart is counted.",
        "Nothing: it goes on by itself.",
    )
    INTERRUPTED = (
        "Interrupted",
        "The pod was told to stop and wrote a checkpoint; the job resumes. No restart is counted.",
        "Nothing: it goes on by itself.",
    )
    RESULT_INCOMPLETE = (
        "ResultIncomplete",
        "The pod reported success without the facts that success needs: trainer image and operator do not fit.",
        "Install operator and trainer image of one release.",
    )
