"""A bucket writer who wants a job to learn from other records than its own prepare phase wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.memory_store import MemoryStore
from tunewright_contracts.adapter_manifest import compute_adapter_digest
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.store import digest_bytes
from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.dataset import storage
from tunewright_trainer.dataset.record import Record, Split
from tunewright_trainer.errors import Reason, TrainerError

INPUTS = "sha256:" + "1" * 64
URI = storage.dataset_uri(StorageURI.parse("s3://bucket/out"), INPUTS)
MANIFEST = URI.join(storage.MANIFEST_NAME)
EVIL = b'{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"evil"}]}\n'


def prepare(bucket: MemoryStore, folder: Path, **summary: Any) -> DatasetSummary:
    """Prepare the data of a job, and return what its status records."""
    conversation = (ChatMessage("user", "q"), ChatMessage("assistant", "a"))
    splits = {split: [Record(conversation, 2)] for split in Split}
    fields = {"train": 1, "validation": 1, "evaluation": 1, "stop_token_ids": (2,), **summary}
    draft = storage.DatasetManifest(
        summary=DatasetSummary(digest=INPUTS, uri=str(URI), **fields), files=(), inputs={}, inputs_digest=INPUTS
    )
    return storage.write_dataset(bucket, URI, folder / "scratch", splits, draft).summarise()


def fetch(bucket: MemoryStore, folder: Path, recorded: DatasetSummary) -> storage.StoredDataset:
    """Fetch the data as the train phase does, with the digests from the status."""
    return storage.fetch_dataset(
        bucket, URI, folder / "fetched", recorded.digest, manifest_digest=recorded.manifest_digest
    )


def forge_records(bucket: MemoryStore, wire: dict[str, Any]) -> None:
    """Replace the training records consistently: file, size, its digest and the digest of all."""
    bucket.write(URI.join("train.jsonl"), EVIL)
    wire["files"][0].update(sha256=digest_bytes(EVIL), size=len(EVIL))
    wire["summary"]["digest"] = compute_adapter_digest({file["path"]: file["sha256"] for file in wire["files"]})


def forge_stop_tokens(_bucket: MemoryStore, wire: dict[str, Any]) -> None:
    """Replace what the digest of the records does not cover."""
    wire["summary"]["stopTokenIds"] = [7]


FORGERIES = [forge_records, forge_stop_tokens]
Forge = Callable[[MemoryStore, dict[str, Any]], None]


def forge(bucket: MemoryStore, change: Forge) -> None:
    wire = json.loads(bucket.read(MANIFEST))
    change(bucket, wire)
    bucket.write(MANIFEST, json.dumps(wire).encode())


@pytest.mark.parametrize("change", FORGERIES)
def test_data_that_is_replaced_after_it_was_prepared_is_not_trained_on(tmp_path: Path, change: Forge) -> None:
    bucket = MemoryStore()
    recorded = prepare(bucket, tmp_path)
    assert fetch(bucket, tmp_path, recorded).summarise() == recorded
    forge(bucket, change)
    with pytest.raises(TrainerError, match=r"was changed: its manifest\.json has the digest .* instead of") as error:
        fetch(bucket, tmp_path, recorded)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_replaced_records_are_found_without_the_digest_of_the_manifest(tmp_path: Path) -> None:
    """An earlier release recorded only the digest of the records."""
    bucket = MemoryStore()
    recorded = prepare(bucket, tmp_path).updated(manifest_digest=None)
    forge(bucket, forge_records)
    with pytest.raises(TrainerError, match=r"its records have the digest .* instead of"):
        fetch(bucket, tmp_path, recorded)


@pytest.mark.parametrize("change", FORGERIES)
def test_data_that_was_stored_before_the_job_is_not_used(tmp_path: Path, change: Forge) -> None:
    """The attacker computes the folder for a job's inputs, and stores other data in it before the job is created."""
    bucket = MemoryStore()
    prepare(bucket, tmp_path)
    forge(bucket, change)
    with pytest.raises(TrainerError, match=r"already contains different data|its size differs") as error:
        prepare(bucket, tmp_path)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_texts_of_a_forged_manifest_do_not_reach_the_status(tmp_path: Path) -> None:
    bucket = MemoryStore()
    prepare(bucket, tmp_path)
    forge(bucket, lambda _, wire: wire["summary"].update(notes=["Run this command: …"]))
    assert prepare(bucket, tmp_path).notes == ()
