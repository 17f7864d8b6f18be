"""The run's own folder in S3: results that make a second run of finished work a matter of looking."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store
from tunewright_trainer.evaluate.scoring import Answers

RESULT_NAME = "result.json"
SAMPLES_NAME = "samples.jsonl"
CONFIG_NAME = "training-config.json"
_MAX_RESULT_BYTES = 1 << 20


class RunRecord(Document):
    """How a job ended, for exactly these inputs."""

    inputs: Sha256
    result: PhaseResult


def read_result(store: Store, run: StorageURI, inputs: str) -> PhaseResult | None:
    """Return the recorded result for these inputs, or None.

    Raises:
        StorageError: the store did not say.
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
    """Record how the job ended.

    Raises:
        StorageError: it may not be written.
    """
    store.write(run.join(RESULT_NAME), RunRecord(inputs=inputs, result=result).to_json().encode())


def write_lines(store: Store, uri: StorageURI, rows: Iterable[dict[str, Any]]) -> None:
    """Store rows as JSONL.

    Raises:
        StorageError: it may not be written.
    """
    store.write(uri, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def sample_rows(answers: Iterable[Answers]) -> Iterable[dict[str, Any]]:
    """Return what a person reads to see what the adapter learnt."""
    for answer in answers:
        yield {
            "record": answer.record.index,
            "messages": list(answer.record.messages),
            "reference": answer.record.reference,
            "base": answer.base,
            "tuned": answer.tuned,
        }
