"""Record a job's result in the run's folder, so that running a finished job again returns the same result."""

from __future__ import annotations

import hashlib
import json

from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.documents import write_document
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store
from tunewright_trainer.config import TrainingConfig

RESULT_NAME = "result.json"
_MAX_RESULT_BYTES = 1 << 20


class RunRecord(Document):
    """A job's result, for these inputs only."""

    inputs: Sha256
    result: PhaseResult


def digest_inputs(config: TrainingConfig, spec: RunSpec) -> str:
    """Return the digest of everything that affects the result: training, evaluation and output."""
    content = [config.fingerprint, spec.evaluation.to_wire(), spec.base_model.chat_template, spec.output_uri]
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def read_result(store: Store, run: StorageURI, inputs: str) -> PhaseResult | None:
    """Return the recorded result for these inputs, or None.

    Raises:
        StorageError: the record could not be read.
    """
    try:
        record = RunRecord.from_json(store.read(run.join(RESULT_NAME), _MAX_RESULT_BYTES))
    except ContractError:
        return None
    except StorageError as error:
        if error.reason is StorageReason.NOT_FOUND:
            return None
        raise
    return record.result if record.inputs == inputs else None


def write_result(store: Store, run: StorageURI, inputs: str, result: PhaseResult) -> None:
    """Record the job's result.

    Raises:
        StorageError: the write failed.
    """
    write_document(store, run.join(RESULT_NAME), RunRecord(inputs=inputs, result=result), _MAX_RESULT_BYTES)
