"""Record a job's result in the run's folder, so that running a finished job again returns the same result."""

from __future__ import annotations

import hashlib
import json

import structlog

from tunewright_contracts.authentication.document_key import DocumentKey, DocumentKind
from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.documents import read_sealed, write_sealed
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store
from tunewright_trainer.config import TrainingConfig

RESULT_NAME = "result.json"
_MAX_RESULT_BYTES = 1 << 20
log = structlog.get_logger(__name__)


class RunRecord(Document):
    """A job's result, for these inputs only."""

    inputs: Sha256
    result: PhaseResult


def digest_inputs(config: TrainingConfig, spec: RunSpec) -> str:
    """Return the digest of everything that affects the result: training, evaluation and output."""
    content = [config.fingerprint, spec.evaluation.to_wire(), spec.base_model.chat_template, spec.output_uri]
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def read_result(store: Store, run: StorageURI, inputs: str, key: DocumentKey) -> PhaseResult | None:
    """Return the recorded result for these inputs, or None. A record without a valid code of the job's key is ignored.

    Raises:
        StorageError: the record could not be read.
    """
    uri = run.join(RESULT_NAME)
    try:
        record = read_sealed(store, uri, RunRecord, _MAX_RESULT_BYTES, kind=DocumentKind.TRAINING_RESULT, key=key)
    except ContractError as error:
        log.warning("result_skipped", uri=str(uri), problem=str(error))
        return None
    except StorageError as error:
        if error.reason is StorageReason.NOT_FOUND:
            return None
        raise
    return record.result if record.inputs == inputs else None


def write_result(store: Store, run: StorageURI, inputs: str, result: PhaseResult, key: DocumentKey) -> None:
    """Record the job's result.

    Raises:
        StorageError: the write failed.
    """
    record, kind = RunRecord(inputs=inputs, result=result), DocumentKind.TRAINING_RESULT
    write_sealed(store, run.join(RESULT_NAME), record, _MAX_RESULT_BYTES, kind=kind, key=key)
