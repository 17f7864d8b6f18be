"""A recorded result is valid only for its inputs; everything else is computed again."""

import pytest

from support.document_keys import KEY, OTHER_KEY
from tunewright_contracts.authentication.document_key import DocumentKind
from tunewright_contracts.phase_result import DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.config import resolve_config
from tunewright_trainer.train.result import RunRecord, digest_inputs, read_result, write_result

RUN = StorageURI.parse("s3://bucket/run")
ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
RESULT = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Published", message="done", progress_step=4)


@pytest.fixture
def digest(make_spec):
    """Return the digest of a job; keyword arguments replace sections of its run document."""

    def compute(train=100, **sections):
        summary = DatasetSummary(
            digest="sha256:" + "d" * 64, uri="s3://bucket/d", train=train, validation=0, evaluation=0, max_tokens=61
        )
        spec = make_spec(**sections)
        return digest_inputs(resolve_config(spec, summary), spec)

    return compute


def test_a_result_is_read_for_its_inputs_only(store):
    assert read_result(store, RUN, ONE, KEY) is None
    write_result(store, RUN, ONE, RESULT, KEY)
    assert read_result(store, RUN, ONE, KEY) == RESULT
    assert read_result(store, RUN, OTHER, KEY) is None


def test_a_field_of_another_release_is_ignored(store):
    class OtherRecord(RunRecord):
        gpu_seconds: int

    record = OtherRecord(inputs=ONE, result=RESULT, gpu_seconds=7)
    store.write(RUN.join("result.json"), KEY.seal(DocumentKind.TRAINING_RESULT, record))
    assert read_result(store, RUN, ONE, KEY) == RESULT


def test_a_result_of_another_writer_is_none(store):
    write_result(store, RUN, ONE, RESULT, OTHER_KEY)
    assert read_result(store, RUN, ONE, KEY) is None


def test_a_result_without_a_code_is_none(store):
    """An earlier release wrote it: the job is trained again, from its newest checkpoint."""
    store.write(RUN.join("result.json"), RunRecord(inputs=ONE, result=RESULT).to_json().encode())
    assert read_result(store, RUN, ONE, KEY) is None


@pytest.mark.parametrize("text", [b"", b"{}", b"[]"])
def test_an_unreadable_result_is_none(store, text):
    store.write(RUN.join("result.json"), text)
    assert read_result(store, RUN, ONE, KEY) is None


def test_a_store_that_refuses_is_not_taken_for_a_missing_result():
    class RefusingStore:
        def read(self, uri, _max_bytes=None):
            raise StorageError(StorageReason.ACCESS_DENIED, f"cannot read {uri}")

    with pytest.raises(StorageError):
        read_result(RefusingStore(), RUN, ONE, KEY)


def test_inputs_are_those_of_training_and_scoring(digest):
    assert digest() == digest(training={"microBatchSize": 2})
    others = [
        digest(train=900),
        digest(training={"seed": 1}),
        digest(evaluation={"metrics": [{"type": "Contains"}]}),
        digest(outputUri="s3://bucket/elsewhere"),
    ]
    assert len({digest(), *others}) == 1 + len(others)


def test_the_inputs_of_a_job_never_change(digest):
    """A newer release must find the result of a finished job, so that it does not train again."""
    assert digest() == "sha256:83df76802c9f16ae17a17658b8e16fa00b5edfb91040312536972671e44d3e6a"
