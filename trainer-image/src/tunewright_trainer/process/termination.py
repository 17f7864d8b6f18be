"""How a phase ends: every outcome becomes a `PhaseResult` that users can act on."""

from __future__ import annotations

import traceback
from pathlib import Path

import structlog

from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURIError
from tunewright_storage.disk_space import is_disk_full
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.redaction import redact
from tunewright_trainer.accelerator import is_out_of_memory
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.process.stopping import StopRequestedError

log = structlog.get_logger(__name__)
_MAX_ERROR_BYTES = 1024
_EXIT_CODES = {Outcome.SUCCEEDED: 0, Outcome.SUSPENDED: 0, Outcome.FAILED: 1, Outcome.RETRYABLE: 1}


def explain_failure(error: BaseException) -> PhaseResult:
    """Return the result for an exception. Pure."""
    outcome = Outcome.FAILED
    reason: str
    match error:
        case StopRequestedError():
            outcome, reason = Outcome.SUSPENDED, Reason.SUSPENDED
            message = "stopped by SIGTERM outside of training; no training step is lost, and the next attempt continues"
        case TrainerError() | StorageError():
            outcome = Outcome.RETRYABLE if error.retryable else Outcome.FAILED
            reason, message = error.reason, str(error)
        case StorageURIError():
            reason, message = StorageReason.INVALID_URI, str(error)
        case ContractError():
            reason, message = Reason.INVALID_RUN_SPEC, f"{error}; use the trainer image of the operator's release"
        case MemoryError():
            outcome, reason = Outcome.RETRYABLE, Reason.OUT_OF_MEMORY
            message = "the pod ran out of memory; raise resources.limits.memory"
        case _ if is_out_of_memory(error):
            # Training and answering raise errors of their own: here the model could not even be loaded.
            outcome, reason = Outcome.RETRYABLE, Reason.OUT_OF_MEMORY
            message = (
                "out of memory outside of training and answering, for example while loading the model; use "
                f"quantization NF4, or a pod or an accelerator with more memory. The error: {_describe_error(error)}"
            )
        case _ if is_disk_full(error):
            outcome, reason = Outcome.RETRYABLE, Reason.DISK_FULL
            where = getattr(error, "filename", None) or "its files"
            message = (
                f"no space left on the pod's volume for {where}; raise the limit of "
                "ephemeral-storage: it must hold the base model and two checkpoints"
            )
        case _:
            outcome, reason = Outcome.RETRYABLE, Reason.INTERNAL_ERROR
            message = f"unexpected error, retried as spec.retry allows; the error: {_describe_error(error)}"
    return PhaseResult(outcome=outcome, reason=reason, message=message)


def end_phase(result: PhaseResult, termination_log: Path) -> int:
    """Write a result as the termination message and to the log, and return the process's exit code."""
    report = log.info if _EXIT_CODES[result.outcome] == 0 else log.error
    result = result.updated(message=redact(result.message))  # before it is cut
    report("phase_ended", outcome=str(result.outcome), reason=result.reason, message=result.message)
    try:
        termination_log.write_text(redact(result.to_termination_message()), encoding="utf-8")
    except OSError as error:
        log.error("termination_message_not_written", path=str(termination_log), error=str(error))  # noqa: TRY400 - the error is enough
    return _EXIT_CODES[result.outcome]


def _describe_error(error: BaseException) -> str:
    """Return type, message and innermost frames of an error, at most 1 KiB."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-4:]
    ]
    message = redact(str(error)).strip() or "no message"
    text = f"{type(error).__name__}: {message} (at {' < '.join(reversed(frames)) or '?'})"
    encoded = text.encode()
    if len(encoded) <= _MAX_ERROR_BYTES:
        return text
    half = _MAX_ERROR_BYTES // 2 - 8
    return f"{encoded[:half].decode(errors='ignore')} … {encoded[-half:].decode(errors='ignore')}"
