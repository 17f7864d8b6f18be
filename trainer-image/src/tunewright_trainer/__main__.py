"""``python -m tunewright_trainer prepare|train``: read the run specification, run one phase, report the result."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import structlog

from tunewright_contracts.authentication.document_key import DocumentKey, DocumentKeyError
from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.run_spec import RunSpec
from tunewright_evaluator.progress_server import ProgressBoard, ProgressServer
from tunewright_storage import redaction
from tunewright_storage.object_store import ObjectStore
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.retrying_store import RetryingStore
from tunewright_trainer.process.settings import Settings
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.process.termination import end_phase, explain_failure

log = structlog.get_logger(__name__)

# How long each phase waits for an unreachable object store or Hub. Preparing is cheap to repeat, and a wrong endpoint
# should be reported soon. A train pod holds a GPU and hours of work, so it waits longer.
PATIENCE_SECONDS = {"prepare": 20.0, "train": 600.0}


def main(arguments: list[str] | None = None) -> int:
    """Run one phase and return the exit code: 0 if it succeeded or was suspended, 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tunewright_trainer", description=__doc__)
    parser.add_argument("phase", choices=sorted(PATIENCE_SECONDS))
    phase = parser.parse_args(arguments).phase
    _configure_logging()
    settings = Settings.from_environment()
    stopper = Stopper()
    stopper.install()
    try:
        result = _run_phase(phase, settings, stopper)
    except BaseException as error:
        result = explain_failure(error)
        if result.reason == Reason.INTERNAL_ERROR:
            log.exception("unexpected_failure")
    return end_phase(result, settings.termination_log)


def _run_phase(phase: str, settings: Settings, stopper: Stopper) -> PhaseResult:
    spec = _read_spec(settings.run_spec)
    _prepare_process(spec, settings.work)
    board = ProgressBoard(spec.attempt)
    with ProgressServer(board, settings.progress_port):
        seconds = PATIENCE_SECONDS[phase] if settings.patience_seconds is None else settings.patience_seconds
        patience = Patience(seconds, stopper.wait)
        store = RetryingStore(ObjectStore.from_environment(), patience)
        if phase == "prepare":
            from tunewright_trainer.prepare.phase import prepare  # noqa: PLC0415 - only what the phase needs

            with stopper.interruptible():
                return prepare(spec, store, settings, board, patience)
        from tunewright_trainer.train.phase import train  # noqa: PLC0415

        key = _read_key(settings.document_key)
        return train(spec, store, settings, board, stopper, patience=patience, key=key)


def _read_spec(path: Path) -> RunSpec:
    try:
        return RunSpec.from_json(path.read_bytes())
    except OSError as error:
        raise TrainerError(
            Reason.INVALID_RUN_SPEC,
            f"cannot read the run specification {path}: {error.strerror}; check that the file is mounted at this path",
        ) from error
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error


def _read_key(path: Path) -> DocumentKey:
    try:
        return DocumentKey.from_text(path.read_bytes())
    except (OSError, DocumentKeyError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise TrainerError(
            Reason.INVALID_RUN_SPEC,
            f"cannot read the document key {path}: {problem}; use the operator and the trainer image of the same "
            "release, and delete the Secret that is mounted there if its content is damaged",
        ) from error


def _prepare_process(spec: RunSpec, work: Path) -> None:
    """Set the environment variables that libraries read on import, and change to a writable folder.

    In a pod the root file system is read-only, so every cache is below ``work``.
    """
    work.mkdir(parents=True, exist_ok=True)
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
    os.environ["UNSLOTH_COMPILE_LOCATION"] = str(work / "unsloth-compiled")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in ("HF_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"):
        os.environ.setdefault(name, str(work / "cache" / name.lower()))
    if spec.base_model.s3 is not None:
        # Otherwise transformers asks the Hub for optional files that the model does not have, and hangs where the Hub
        # cannot be reached.
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(work)


def _configure_logging() -> None:
    redaction.install()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            redaction.redact_line,
        ],
        logger_factory=structlog.PrintLoggerFactory(),
    )


if __name__ == "__main__":
    sys.exit(main())
