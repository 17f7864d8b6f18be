"""The reasons of an evaluation's report: its verdict, or why it could not measure."""

from __future__ import annotations

from tunewright_contracts import reasons


class EvaluationReason(reasons.Reason):
    """Reasons of an `EvaluationReport`, in addition to those of storage (docs/reference/conditions.md)."""

    PASSED = (
        "EvaluationPassed",
        "The evidence proves every metric good enough.",
        "No action needed: the rollout continues automatically.",
    )
    FAILED = (
        "EvaluationFailed",
        "The evidence proves a metric not good enough.",
        "Train a better adapter (the report has every answer), or relax the metric in `spec.evaluation.metrics`.",
    )
    INCONCLUSIVE = (
        "EvaluationInconclusive",
        "The evidence proves the candidate neither good enough nor too bad.",
        "Use a larger held-out set, or raise `spec.evaluation.maxSamples`; `onInconclusive` decides what follows.",
    )
    NO_RECORDS = (
        "NoRecords",
        "The held-out set contains no records.",
        "Set `spec.evaluation.dataset.s3.uri` to a set with records.",
    )
    INVALID_DATASET = (
        "InvalidDataset",
        "The held-out set cannot be read; the message names the file and, if known, the line.",
        "Correct it, or use another set in `spec.evaluation.dataset.s3.uri`.",
    )
    HELD_OUT_CHANGED = (
        "HeldOutChanged",
        "The held-out set is not the one that the adapter's job prepared: its digest differs.",
        (
            "Find out who wrote to the bucket. Restore the file, or train again; to use another set on purpose, "
            "set `spec.evaluation.dataset.s3.uri`."
        ),
    )
    INVALID_METRIC = (
        "InvalidMetric",
        "A metric has invalid settings.",
        "Correct the metric in `spec.evaluation.metrics` as the message describes.",
    )
    INVALID_URI = (
        "InvalidURI",
        "The address of the held-out set or of the report is ambiguous or has no bucket.",
        "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards.",
    )
    INVALID_REQUEST = (
        "InvalidRequest",
        "The evaluator cannot read its request or its key; operator and evaluator may be of different releases.",
        "Install the operator and its images of the same release.",
    )
    RECORD_REFUSED = (
        "RecordRefused",
        "The server rejects a record, usually because it is too long; the message names it.",
        "Shorten the record, lower `spec.evaluation.maxTokens`, or have the server's `vllm.maxModelLength` raised.",
    )
    SERVER_UNAVAILABLE = (
        "ServerUnavailable",
        "A revision did not answer a record in several attempts.",
        (
            "No action needed if this is transient: the evaluation runs again every five minutes. "
            "Otherwise check the ModelServer's Ready condition."
        ),
    )
    INTERNAL_ERROR = (
        "InternalError",
        "An unexpected error, which the message shows.",
        "Report the message with the evaluation pod's log.",
    )
