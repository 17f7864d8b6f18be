"""A bucket writer who wants another adapter to be served under a job's name."""

from __future__ import annotations

import json

import pytest

from support.document_keys import KEY, OTHER_KEY
from support.memory_store import MemoryStore
from tunewright_contracts.authentication.document_key import FIELD, DocumentKind
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI
from tunewright_trainer.train.result import RunRecord, read_result, write_result

RUN = StorageURI.parse("s3://bucket/out/runs/support/tickets-12345678")
RESULT = RUN.join("result.json")
INPUTS, OTHER_INPUTS = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def published(digit: str) -> PhaseResult:
    digest = "sha256:" + digit * 64
    adapter = AdapterSummary(
        uri=f"s3://bucket/out/sha256-{digit * 64}", digest=digest, rank=8, bytes=1, base_model_digest=INPUTS
    )
    return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Published", message="", adapter=adapter)


OWN, EVIL = published("a"), published("e")
FORGED = RunRecord(inputs=INPUTS, result=EVIL)


@pytest.fixture
def bucket() -> MemoryStore:
    bucket = MemoryStore()
    write_result(bucket, RUN, INPUTS, OWN, KEY)
    assert read_result(bucket, RUN, INPUTS, KEY) == OWN
    return bucket


def test_a_replaced_result_is_not_reported(bucket: MemoryStore) -> None:
    code = json.loads(bucket.read(RESULT))[FIELD]
    for forged in ({}, {FIELD: code}, {FIELD: {**code, "mac": "0" * 64}}):
        bucket.write(RESULT, json.dumps({**FORGED.to_wire(), **forged}).encode())
        assert read_result(bucket, RUN, INPUTS, KEY) is None, "the job trains again, from its own checkpoints"


def test_the_result_of_another_job_is_not_reported(bucket: MemoryStore) -> None:
    write_result(bucket, RUN, INPUTS, EVIL, OTHER_KEY)
    assert read_result(bucket, RUN, INPUTS, KEY) is None


def test_an_older_result_for_other_inputs_is_not_reported(bucket: MemoryStore) -> None:
    write_result(bucket, RUN, OTHER_INPUTS, EVIL, KEY)
    assert read_result(bucket, RUN, INPUTS, KEY) is None


@pytest.mark.parametrize("kind", [kind for kind in DocumentKind if kind is not DocumentKind.TRAINING_RESULT])
def test_a_document_of_another_kind_is_not_a_result(bucket: MemoryStore, kind: DocumentKind) -> None:
    bucket.write(RESULT, KEY.seal(kind, FORGED))
    assert read_result(bucket, RUN, INPUTS, KEY) is None
