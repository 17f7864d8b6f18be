"""The evaluation Job: `python -m tunewright_evaluator`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

from tunewright_contracts.authentication.document_key import DOCUMENT_KEY_PATH, DocumentKey, DocumentKeyError
from tunewright_contracts.document import ContractError
from tunewright_contracts.evaluation_report import (
    EVALUATION_REQUEST_PATH,
    TOKEN_PATH,
    EvaluationReport,
    EvaluationRequest,
    Verdict,
)
from tunewright_contracts.phase_result import MAX_TERMINATION_MESSAGE_BYTES
from tunewright_contracts.progress import PROGRESS_PORT
from tunewright_contracts.storage_uri import StorageURIError
from tunewright_evaluator.evaluation import build_error_report, evaluate
from tunewright_evaluator.progress_server import ProgressBoard, ProgressServer
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.scorers import ScorerError
from tunewright_storage import redaction
from tunewright_storage.errors import StorageError
from tunewright_storage.object_store import ObjectStore

log = structlog.get_logger(__name__)


def main() -> int:
    """Run the mounted request, write the report without its answers as termination message, return the exit code.

    Only the verdict Error exits with 1; with any other verdict the Job did its work and exits with 0.
    """
    redaction.install()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            redaction.redact_line,
        ]
    )
    request_path = Path(os.environ.get("TUNEWRIGHT_EVALUATION_REQUEST", EVALUATION_REQUEST_PATH))
    key_path = Path(os.environ.get("TUNEWRIGHT_DOCUMENT_KEY", DOCUMENT_KEY_PATH))
    token_path = Path(os.environ.get("TUNEWRIGHT_TOKEN", TOKEN_PATH))
    try:
        request = EvaluationRequest.from_json(request_path.read_bytes())
    except (ContractError, OSError) as error:
        return _finish(_refuse(f"{request_path}: {error}"))
    try:
        key = DocumentKey.from_text(key_path.read_bytes())
    except (DocumentKeyError, OSError) as error:
        return _finish(_refuse(f"{key_path}: {error}", request.candidate))
    board = ProgressBoard()
    try:
        with ProgressServer(board, int(os.environ.get("TUNEWRIGHT_PROGRESS_PORT", PROGRESS_PORT))):
            report = asyncio.run(evaluate(request, ObjectStore.from_environment(), token_path, board=board, key=key))
    except StorageError as error:
        report = build_error_report(request, str(error.reason), str(error))
    except (ContractError, UnicodeDecodeError) as error:
        report = build_error_report(request, EvaluationReason.INVALID_DATASET, str(error))
    except ScorerError as error:
        report = build_error_report(request, EvaluationReason.INVALID_METRIC, str(error))
    except StorageURIError as error:
        report = build_error_report(request, EvaluationReason.INVALID_URI, str(error))
    except Exception as error:
        log.exception("unexpected_failure")
        message = redaction.redact(f"{type(error).__name__}: {error}")
        report = build_error_report(request, EvaluationReason.INTERNAL_ERROR, message)
    return _finish(report)


def _refuse(message: str, candidate: str = "") -> EvaluationReport:
    return EvaluationReport(
        verdict=Verdict.ERROR, reason=EvaluationReason.INVALID_REQUEST, message=message, candidate=candidate
    )


def _finish(report: EvaluationReport) -> int:
    text = redaction.redact(to_termination_message(report))
    Path(os.environ.get("TUNEWRIGHT_TERMINATION_LOG", "/dev/termination-log")).write_text(text)
    print(text)  # noqa: T201 - the Job's log shows its termination message
    return 1 if report.verdict is Verdict.ERROR else 0


def to_termination_message(report: EvaluationReport) -> str:
    """Return the report's JSON within 4 KiB: the answers stay in S3, long messages are shortened."""
    brief = report.updated(answers=())
    while _is_too_long(brief) and brief.message:
        metrics = tuple(item.updated(message=item.message[: len(item.message) // 2]) for item in brief.metrics)
        arms = tuple(item.updated(note=item.note[: len(item.note) // 2]) for item in brief.arms)
        brief = brief.updated(message=brief.message[: len(brief.message) * 3 // 4], metrics=metrics, arms=arms)
    if _is_too_long(brief):
        brief = brief.updated(arms=())  # the next evaluation asks for these answers again
    return brief.to_json()


def _is_too_long(report: EvaluationReport) -> bool:
    return len(report.to_json().encode()) > MAX_TERMINATION_MESSAGE_BYTES


if __name__ == "__main__":
    sys.exit(main())
