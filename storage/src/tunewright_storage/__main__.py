"""Inspection: what a Job tells the operator about a bucket that the operator may not read."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tunewright_contracts.document import ContractError
from tunewright_contracts.inspection import AdapterInspection, BaseModelInspection
from tunewright_contracts.run_spec import RUN_SPEC_PATH, AdapterSummary, Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_storage.adapter import read_manifest
from tunewright_storage.base_model import inspect_base_model
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore


def main(arguments: list[str] | None = None) -> int:
    """Run one inspection, write its result as the termination message and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tunewright_storage", description=__doc__)
    parser.add_argument("command", choices=["inspect-base-model", "inspect-adapter"])
    parser.add_argument("--request", type=Path, default=Path(os.environ.get("TUNEWRIGHT_RUN_SPEC", RUN_SPEC_PATH)))
    parser.add_argument(
        "--result", type=Path, default=Path(os.environ.get("TUNEWRIGHT_TERMINATION_LOG", "/dev/termination-log"))
    )
    options = parser.parse_args(arguments)
    inspect = _inspect_base_model if options.command == "inspect-base-model" else _inspect_adapter
    try:
        result = inspect(options.request.read_bytes())
    except StorageError as error:
        outcome = Outcome.RETRYABLE if error.retryable else Outcome.FAILED
        result = PhaseResult(outcome=outcome, reason=error.reason, message=str(error))
    except StorageURIError as error:
        result = PhaseResult(outcome=Outcome.FAILED, reason=StorageReason.INVALID_URI, message=str(error))
    except ContractError as error:
        result = PhaseResult(outcome=Outcome.FAILED, reason="InvalidRequest", message=f"{options.request}: {error}")
    text = result.to_termination_message()
    options.result.write_text(text)
    print(text)  # noqa: T201 - the Job's log says the same as its termination message
    return 0 if result.outcome is Outcome.SUCCEEDED else 1


def _inspect_base_model(text: bytes) -> PhaseResult:
    request = BaseModelInspection.from_json(text)
    with tempfile.TemporaryDirectory() as scratch:
        summary = inspect_base_model(request.s3, request.hugging_face, Path(scratch), ObjectStore.from_environment())
    return PhaseResult(
        outcome=Outcome.SUCCEEDED,
        reason="Inspected",
        message=f"{summary.files} files, {summary.bytes / 1e9:.2f} GB",
        base_model=summary,
    )


def _inspect_adapter(text: bytes) -> PhaseResult:
    request = AdapterInspection.from_json(text)
    uri = StorageURI.parse(request.uri)
    manifest = read_manifest(ObjectStore.from_environment(), uri)
    if request.expected_digest is not None and manifest.digest != request.expected_digest:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH, f"{uri} holds {manifest.digest}, not {request.expected_digest}"
        )
    adapter = AdapterSummary(
        uri=str(uri),
        digest=manifest.digest,
        rank=manifest.rank,
        bytes=sum(file.size for file in manifest.files),
        base_model_digest=manifest.base_model.digest,
        evaluation_dataset_uri=manifest.evaluation_dataset_uri,
    )
    return PhaseResult(
        outcome=Outcome.SUCCEEDED,
        reason="Inspected",
        message=f"adapter {manifest.digest}",
        adapter=adapter,
        scores=manifest.scores,
    )


if __name__ == "__main__":
    sys.exit(main())
