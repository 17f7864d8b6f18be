"""Each end of a phase becomes an outcome, a reason and a message; the exit code shows only success or failure."""

import errno
import json

import pytest

from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import MAX_TERMINATION_MESSAGE_BYTES, Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURIError
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.process.stopping import StopRequestedError
from tunewright_trainer.process.termination import end_phase, explain_failure


@pytest.mark.parametrize(
    ("error", "outcome", "reason", "message"),
    [
        (StopRequestedError(), "Suspended", "Suspended", "no training step is lost"),
        (TrainerError(Reason.DIVERGED, "NaN"), "Failed", "Diverged", "NaN"),
        (TrainerError(Reason.OUT_OF_MEMORY, "much", retryable=True), "Retryable", "OutOfMemory", "much"),
        (StorageError(StorageReason.UNREACHABLE, "away"), "Retryable", "StorageUnreachable", "away"),
        (StorageError(StorageReason.ACCESS_DENIED, "no"), "Failed", "AccessDenied", "no"),
        (StorageURIError("what"), "Failed", "InvalidURI", "what"),
        (
            ContractError("run.json: job: missing"),
            "Failed",
            "InvalidRunSpec",
            "run.json: job: missing; use the trainer",
        ),
        (MemoryError(), "Retryable", "OutOfMemory", "resources.limits.memory"),
        (RuntimeError("CUDA error: out of memory"), "Retryable", "OutOfMemory", "an accelerator with more memory"),
        (
            OSError(errno.ENOSPC, "full", "/tmp/model"),
            "Retryable",
            "DiskFull",
            "no space left on the pod's volume for /tmp/model",
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "Retryable",
            "DiskFull",
            "no space left on the pod's volume for its files",
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:595] . PytorchStreamWriter failed writing file data/3"),
            "Retryable",
            "DiskFull",
            "ephemeral-storage",
        ),
        (OSError(errno.EPERM, "not permitted"), "Retryable", "InternalError", "PermissionError"),
        (KeyError("odd"), "Retryable", "InternalError", "the error: KeyError: 'odd'"),
    ],
)
def test_mapping(error, outcome, reason, message):
    result = explain_failure(error)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert message in result.message


def test_last_words_are_short_and_name_the_place():
    try:
        raise RuntimeError("begin " + "é" * 5000 + " end")
    except RuntimeError as error:
        words = explain_failure(error).message.partition("the error: ")[2]
    assert len(words.encode()) <= 1024
    assert words.startswith("RuntimeError: begin")
    assert "test_termination.py" in words


@pytest.mark.parametrize(("outcome", "code"), [("Succeeded", 0), ("Suspended", 0), ("Failed", 1), ("Retryable", 1)])
def test_exit_code_and_message(tmp_path, outcome, code):
    result = PhaseResult(outcome=Outcome(outcome), reason="R", message="é" * 9000)
    assert end_phase(result, tmp_path / "log") == code
    text = (tmp_path / "log").read_bytes()
    assert len(text) <= MAX_TERMINATION_MESSAGE_BYTES
    assert json.loads(text)["outcome"] == outcome


def test_a_log_that_cannot_be_written_does_not_change_the_exit_code(tmp_path):
    result = PhaseResult(outcome=Outcome.SUCCEEDED, reason="R", message="m")
    assert end_phase(result, tmp_path / "missing" / "log") == 0
