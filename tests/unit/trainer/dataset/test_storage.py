"""Prepared data is complete when its manifest exists, and verified when it is read."""

import json

import pytest

from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.dataset import storage
from tunewright_trainer.dataset.record import InputFile, Record, Split
from tunewright_trainer.errors import Reason, TrainerError

INPUTS = "sha256:" + "1" * 64
OUTPUT = StorageURI.parse("s3://bucket/adapters")
URI = storage.dataset_uri(OUTPUT, INPUTS)


def input_file(label="tickets/a.jsonl", version="v1", record_format=DatasetFormat.AUTO):
    return InputFile(label, record_format, version, lambda: b"")


@pytest.fixture
def digest(make_spec):
    def compute(*files, **sections):
        return storage.digest_inputs(make_spec(**sections), files or (input_file(),))

    return compute


@pytest.fixture
def write(store, talk, tmp_path):
    """Store a dataset whose training records ask the given questions, and return its manifest."""

    def write(*questions):
        records = [Record(talk(("user", question), ("assistant", "a")), 1) for question in questions]
        summary = DatasetSummary(digest=INPUTS, uri=str(URI), train=len(records), validation=0, evaluation=0)
        draft = storage.DatasetManifest(summary=summary, files=(), inputs={}, inputs_digest=INPUTS)
        splits = {Split.TRAIN: records, Split.VALIDATION: [], Split.EVALUATION: []}
        return storage.write_dataset(store, URI, tmp_path / "scratch", splits, draft).manifest

    return write


def test_the_folder_is_named_by_its_inputs():
    assert str(URI) == "s3://bucket/adapters/datasets/sha256-" + "1" * 64


def test_a_written_dataset_is_fetched(write, store, talk, tmp_path):
    manifest = write("q\u2028", '"é"')
    digest = manifest.summary.digest
    stored = storage.fetch_dataset(store, URI, tmp_path / "fetched", digest)
    assert stored.manifest == manifest
    assert storage.read_split(tmp_path / "fetched", Split.TRAIN) == [
        talk(("user", "q\u2028"), ("assistant", "a")),
        talk(("user", '"é"'), ("assistant", "a")),
    ]
    assert storage.read_split(tmp_path / "fetched", Split.EVALUATION) == []
    assert [file.path for file in manifest.files] == ["train.jsonl", "validation.jsonl", "evaluation.jsonl"]
    assert manifest.summary.digest != INPUTS, "the summary's digest is that of the content"


def test_writing_the_same_again_changes_nothing(write, store):
    manifest = write("q")
    versions = {item.uri: item.version for item in store.list(URI)}
    assert write("q") == manifest
    assert {item.uri: item.version for item in store.list(URI)} == versions


def test_other_data_for_the_same_inputs_is_refused(write):
    write("q")
    with pytest.raises(
        TrainerError, match=r"train\.jsonl is missing, or its size differs|already contains different data"
    ) as error:
        write("another question")
    assert error.value.reason is Reason.DATASET_CHANGED


def test_without_a_manifest_there_is_no_dataset(write, store, tmp_path):
    assert storage.find_manifest(store, URI) is None
    write("q")
    store.delete_prefix(URI.join(storage.MANIFEST_NAME))
    assert storage.find_manifest(store, URI) is None
    with pytest.raises(TrainerError, match="no longer contains prepared data") as error:
        storage.fetch_dataset(store, URI, tmp_path, INPUTS)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_an_unreadable_manifest_is_reported(write, store):
    write("q")
    store.write(URI.join(storage.MANIFEST_NAME), b"{}")
    with pytest.raises(TrainerError, match=r"its manifest\.json is invalid \(DatasetManifest: summary") as error:
        storage.find_manifest(store, URI)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_a_store_that_refuses_is_not_taken_for_missing_data():
    class RefusingStore:
        def read(self, uri, _max_bytes=None):
            raise StorageError(StorageReason.ACCESS_DENIED, f"cannot read {uri}")

    with pytest.raises(StorageError):
        storage.find_manifest(RefusingStore(), URI)


@pytest.mark.parametrize("name", ["train.jsonl", "evaluation.jsonl"])
def test_a_missing_file_is_detected(write, store, name):
    write("q")
    store.delete_prefix(URI.join(name))
    with pytest.raises(TrainerError, match=rf"{name} is missing, or its size differs"):
        storage.find_manifest(store, URI)


@pytest.fixture
def forge(write, store):
    """Store a dataset, and change its manifest as everyone who can write to the bucket can."""

    def forge(change):
        wire = write("q").to_wire()
        change(wire["files"])
        store.write(URI.join(storage.MANIFEST_NAME), json.dumps(wire).encode())
        return wire["summary"]["digest"]

    return forge


def rename_first(name):
    return lambda files: files[0].update(path=name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        *(
            (rename_first(name), r"is invalid \(DatasetManifest: files: lists ")
            for name in ("/tmp/torch.py", "../torch.py", "x/train.jsonl", "torch.py", "manifest.json", "")
        ),
        (lambda files: files.append(files[0]), r"lists 'train\.jsonl' more than once"),
        (lambda files: files.pop(), r"does not list evaluation\.jsonl"),
        (lambda files: files.clear(), r"does not list evaluation\.jsonl, train\.jsonl, validation\.jsonl"),
        (lambda files: files[0].update(size=-1), r"files\.0\.size"),
        (lambda files: files[0].update(size=files[0]["size"] + 1), r"train\.jsonl is missing, or its size differs"),
    ],
)
def test_a_forged_manifest_writes_nothing(forge, store, tmp_path, change, problem):
    expected = forge(change)
    with pytest.raises(TrainerError, match=problem) as error:
        storage.fetch_dataset(store, URI, tmp_path / "fetched", expected)
    assert error.value.reason is Reason.DATASET_CHANGED
    assert not (tmp_path / "fetched").exists()


def test_a_dataset_over_the_budget_is_not_fetched(write, store, tmp_path, monkeypatch):
    manifest = write("q")
    monkeypatch.setattr(storage, "MAX_DATASET_BYTES", sum(file.size for file in manifest.files) - 1)
    expected = manifest.summary.digest
    with pytest.raises(TrainerError, match="more than the limit of"):
        storage.fetch_dataset(store, URI, tmp_path / "fetched", expected)
    assert not (tmp_path / "fetched").exists()


def test_inputs_are_files_rules_and_tokenizer(digest, make_spec):
    base = make_spec().to_wire()["baseModel"]
    others = [
        digest(input_file(version="v2")),
        digest(input_file(label="tickets/b.jsonl")),
        digest(input_file(record_format=DatasetFormat.MESSAGES)),
        digest(input_file(), input_file("tickets/b.jsonl")),
        digest(dataset={"sources": [{"name": "tickets", "configMap": True}], "systemPrompt": "Be brief."}),
        digest(baseModel={**base, "digest": "sha256:" + "c" * 64}),
        digest(baseModel={**base, "chatTemplate": "{{ messages }}"}),
        digest(training={"maxSequenceLength": 512}),
    ]
    assert len({digest(), *others}) == 1 + len(others)


def test_inputs_are_neither_uris_nor_hyperparameters(digest):
    source = {"name": "tickets", "s3": {"uri": "s3://bucket/moved/a.jsonl"}}
    assert digest() == digest(dataset={"sources": [source]}, training={"epochs": 9}, outputUri="s3://bucket/other")


def test_the_inputs_of_prepared_data_never_change(digest):
    """Jobs with equal inputs share prepared data.

    If other files would be written, raise `PREPARER_VERSION` and replace the value.
    """
    assert digest() == "sha256:d68b2e2a11638027785d6b990807c417ccd98fb0babd22ab764ef6d1b89926e8"


def test_a_source_of_tens_of_thousands_of_small_files_fits_in_a_manifest(store, talk, tmp_path):
    files = [input_file(f"tickets/2026/01/ticket-{number:08d}.jsonl", "e" * 32) for number in range(60_000)]
    inputs = storage.list_inputs(files)
    records = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    summary = DatasetSummary(digest=INPUTS, uri=str(URI), train=1, validation=0, evaluation=0)
    draft = storage.DatasetManifest(summary=summary, files=(), inputs=inputs, inputs_digest=INPUTS)
    splits = {Split.TRAIN: records, Split.VALIDATION: [], Split.EVALUATION: []}
    written = storage.write_dataset(store, URI, tmp_path / "scratch", splits, draft)
    assert storage.find_manifest(store, URI) == written
    assert len(written.manifest.inputs) == 60_000


def test_more_files_than_a_manifest_can_list_are_rejected(monkeypatch):
    monkeypatch.setattr(storage, "_MAX_INPUT_BYTES", 100)
    with pytest.raises(StorageError, match=r"sources has 9 files, .* at most 100 are read\. Join the records") as error:
        storage.list_inputs([input_file(f"tickets/{number}.jsonl") for number in range(9)])
    assert error.value.reason is StorageReason.TOO_LARGE
    assert not error.value.retryable


@pytest.mark.parametrize(
    ("limit", "split", "words"),
    [
        ("MAX_HELD_OUT_BYTES", Split.EVALUATION, r"held-out records have \d+ bytes.*lower spec\.dataset\.split"),
        ("MAX_DATASET_BYTES", Split.TRAIN, r"prepared records have \d+ bytes.*use fewer records"),
    ],
)
def test_records_that_a_reader_would_reject_are_not_stored(store, talk, tmp_path, monkeypatch, limit, split, words):
    monkeypatch.setattr(storage, limit, 10)
    records = [Record(talk(("user", "q"), ("assistant", "a")), 1)]
    summary = DatasetSummary(digest=INPUTS, uri=str(URI), train=1, validation=0, evaluation=1)
    draft = storage.DatasetManifest(summary=summary, files=(), inputs={}, inputs_digest=INPUTS)
    splits = {name: records if name is split else [] for name in Split}
    with pytest.raises(StorageError, match=words) as error:
        storage.write_dataset(store, URI, tmp_path / "scratch", splits, draft)
    assert error.value.reason is StorageReason.TOO_LARGE
    assert list(store.list(URI)) == []


def test_an_answer_with_weight_0_keeps_it():
    conversation = (
        ChatMessage("user", "q"),
        ChatMessage("assistant", "a", learned=False),
        ChatMessage("user", "q"),
        ChatMessage("assistant", "b"),
    )
    line = storage.format_record(conversation)
    assert line.count('"weight":0') == line.count('"weight"') == 1
    assert storage._parse_line(line) == conversation
