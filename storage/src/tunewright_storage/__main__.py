"""Commands for a bucket.

Inspections are Jobs that read a bucket for the operator, which has no credentials for it. `upload` stores a model.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tunewright_contracts.authentication.document_key import (
    AuthenticationError,
    DocumentKey,
    DocumentKeyError,
    DocumentKind,
)
from tunewright_contracts.document import ContractError
from tunewright_contracts.inspection import AdapterInspection, BaseModelInspection
from tunewright_contracts.locations import RUN_SPEC_PATH
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_storage import redaction
from tunewright_storage.adapter import read_manifest, summarise
from tunewright_storage.base_model import inspect_base_model
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore

MAX_DOCUMENT_BYTES = 1 << 30
"""The limit for a document to verify; a report has all answers of an evaluation."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tunewright_storage", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, inspect in (("inspect-base-model", _inspect_base_model), ("inspect-adapter", _inspect_adapter)):
        command = commands.add_parser(name, help="answer the mounted request with a termination message")
        command.set_defaults(run=lambda _options, inspect=inspect: run_inspection(inspect))
    upload = commands.add_parser("upload", help="store a folder's files below a URI")
    upload.add_argument("folder", type=Path)
    upload.add_argument("uri")
    upload.set_defaults(run=lambda options: run_upload(options.folder, options.uri))
    verify = commands.add_parser("verify", help="check that the holder of a document key wrote a document")
    verify.add_argument("kind", type=DocumentKind, choices=list(DocumentKind))
    verify.add_argument("key", type=Path, help="a file with the key")
    verify.add_argument("uri")
    verify.set_defaults(run=lambda options: run_verify(options.kind, options.key, options.uri))
    options = parser.parse_args(arguments)
    return int(options.run(options))


def run_inspection(inspect: Callable[[bytes], PhaseResult]) -> int:
    """Answer the request at `RUN_SPEC_PATH` with the termination message, and return the exit code."""
    request = Path(os.environ.get("TUNEWRIGHT_RUN_SPEC", RUN_SPEC_PATH))
    redaction.install()
    answer = Path(os.environ.get("TUNEWRIGHT_TERMINATION_LOG", "/dev/termination-log"))
    try:
        result = inspect(request.read_bytes())
    except StorageError as error:
        outcome = Outcome.RETRYABLE if error.retryable else Outcome.FAILED
        result = PhaseResult(outcome=outcome, reason=error.reason, message=str(error))
    except StorageURIError as error:
        result = PhaseResult(outcome=Outcome.FAILED, reason=StorageReason.INVALID_URI, message=str(error))
    except ContractError as error:
        result = PhaseResult(
            outcome=Outcome.FAILED,
            reason=StorageReason.INVALID_REQUEST,
            message=f"{request}: {error}. {StorageReason.INVALID_REQUEST.remedy}",
        )
    except OSError as error:
        # The scratch volume is full, or smaller than the largest file.
        result = PhaseResult(
            outcome=Outcome.RETRYABLE, reason=StorageReason.OTHER, message=f"on the pod's disk: {error}"
        )
    text = redaction.redact(result.to_termination_message())
    answer.write_text(text)
    print(text)  # noqa: T201 - the Job's log shows its termination message
    return 0 if result.outcome is Outcome.SUCCEEDED else 1


def run_upload(folder: Path, uri: str) -> int:
    """Store a folder's files, each with a checksum that the store verifies, and return the exit code."""
    try:
        target = StorageURI.parse(uri)
        store = ObjectStore.from_environment()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            stored = target.join(path.relative_to(folder).as_posix())
            store.upload(path, stored)
            print(f"{stored} ({path.stat().st_size} bytes)")  # noqa: T201 - the command's progress
    except (StorageError, StorageURIError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's message
        return 1
    return 0


def run_verify(kind: DocumentKind, key: Path, uri: str) -> int:
    """Print whether a document is authentic, and return the exit code: 0 if it is."""
    try:
        document_key = DocumentKey.from_text(key.read_bytes())
        data = ObjectStore.from_environment().read(StorageURI.parse(uri), MAX_DOCUMENT_BYTES)
        content = document_key.open(kind, data)
        if kind is DocumentKind.EVALUATION_REPORT and content.get("reportUri") != uri:
            raise AuthenticationError(f"it is the report for {content.get('reportUri')!s:.200}, copied to this address")
    except (OSError, DocumentKeyError) as error:
        print(f"cannot read the key {key}: {error}", file=sys.stderr)  # noqa: T201 - the command's message
        return 2
    except (StorageError, StorageURIError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command's message
        return 2
    except ContractError as error:
        print(f"{uri} is not authentic: {error}", file=sys.stderr)  # noqa: T201 - the command's message
        return 1
    print(f"{uri} is authentic: a holder of the key {document_key.id} wrote it")  # noqa: T201 - the command's result
    return 0


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
    return PhaseResult(
        outcome=Outcome.SUCCEEDED,
        reason="Inspected",
        message=f"adapter {manifest.digest}",
        adapter=summarise(manifest, uri),
        scores=manifest.scores,
    )


if __name__ == "__main__":
    sys.exit(main())
