"""Why an evaluation's report says what it says: its verdict, or what kept it from measuring."""

from __future__ import annotations

from tunewright_contracts import reasons


class EvaluationReason(reasons.Reason):
    """Reasons of `EvaluationReport` beside those of storage (docs/reference/conditions.md)."""

    PASSED = (
        "EvaluationPassed",
        "Every metric is proven good enough.",
        "Nothing: the rollout goes on by itself.",
    )
    FAILED = (
        "EvaluationFailed",
        "A metric is proven too bad.",
        "Train a better adapter; the report holds every answer. Or relax the metric in `spec.evaluation.metrics`.",
    )
    INCONCLUSIVE = (
        "EvaluationInconclusive",
        "The records prove the candidate neither good nor bad.",
        "Name a larger held-out set or raise `spec.evaluation.maxSamples`; `onInconclusive` says what follows.",
    )
    NO_RECORDS = (
        "NoRecords",
        "The held-out set holds no record.",
        "Name one with at least one record in `spec.evaluation.dataset.s3.uri`.",
    )
    INVALID_DATASET = (
        "InvalidDataset",
        "The held-out set cannot be read; the message says where.",
        "Correct it, or name another set in `spec.evaluation.dataset.s3.uri`.",
    )
    INVALID_METRIC = (
        "InvalidMetric",
        "A metric's own settings are unusable.",
        "Correct the metric in `spec.evaluation.metrics` as the message says.",
    )
    INVALID_URI = (
        "InvalidURI",
        "The address of the held-out set or of the report could mean two things or names no bucket.",
        "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards.",
    )
    INVALID_REQUEST = (
        "InvalidRequest",
        "The evaluation's request cannot be read: operator and evaluator do not fit together.",
        "Install the operator and its images of one release.",
    )
    RECORD_REFUSED = (
        "RecordRefused",
        "The server refuses a record, usually as too long; the message names it.",
        "Shorten the record, lower `spec.evaluation.maxTokens`, or have the server's `vllm.maxModelLength` raised.",
    )
    SERVER_UNAVAILABLE = (
        "ServerUnavailable",
        "A revision did not answer a record in several attempts.",
        (
            "Nothing, if it passes: the evaluation runs again every five minutes. "
            "Else see the ModelServer's Ready condition."
        ),
    )
    INTERNAL_ERROR = (
        "InternalError",
        "Something nobody foresaw; the message says what.",
        "Report the message, with the evaluation pod's log.",
    )
