"""A bucket writer who wants a training to continue from weights that the job did not write.

torch loads a checkpoint's optimizer and random state with pickle, so a foreign one could also run code in the trainer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.document_keys import KEY, OTHER_KEY
from support.memory_store import MemoryStore
from tunewright_contracts.authentication.document_key import FIELD, DocumentKey
from tunewright_contracts.progress import find_lost
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.store import digest_bytes
from tunewright_trainer.train.checkpoints import FILE_NAMES, Checkpoint, CheckpointStore, CompleteMark

RUN = StorageURI.parse("s3://bucket/out/runs/support/tickets-12345678")
OTHER_RUN = StorageURI.parse("s3://bucket/out/runs/support/other-87654321")
CONFIGURATION = "sha256:" + "1" * 64


class Bucket(MemoryStore):
    """A bucket with the checkpoints of trainings."""

    def train(self, folder: Path, *steps: int, run: StorageURI = RUN, key: DocumentKey = KEY, attempt: int = 1) -> None:
        checkpoints = CheckpointStore(self, run, attempt, f"{attempt:08x}", CONFIGURATION, key=key)
        for step in steps:
            local = folder / str(step)
            local.mkdir(parents=True, exist_ok=True)
            for name in FILE_NAMES:
                (local / name).write_text(f"{name} at {step} of {run}")
            checkpoints.save(step, local, last=True)
        checkpoints.finish()

    def resume(self, folder: Path) -> Checkpoint | None:
        """Return what the next attempt continues from."""
        return CheckpointStore(self, RUN, 9, "ffffffff", CONFIGURATION, key=KEY).find_newest(folder / "resume")


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = Bucket()
    bucket.train(tmp_path / "job", 50, 100)
    return bucket


def at(step: int, pod: str = "1-00000001", run: StorageURI = RUN) -> StorageURI:
    return run.join("checkpoints", pod, f"step-{step:06d}")


def test_a_forged_checkpoint_is_not_loaded(bucket: Bucket, tmp_path: Path) -> None:
    """The attacker stores newer files with a complete mark that lists their digests, as an earlier release trusted."""
    evil = dict.fromkeys(FILE_NAMES, b"evil")
    mark = CompleteMark(step=150, fingerprint=CONFIGURATION, files=dict.fromkeys(evil, digest_bytes(b"evil")))
    for name, data in evil.items():
        bucket.write(at(150).join(name), data)
    old = json.loads(bucket.read(at(100).join("COMPLETE")))
    for code in ({}, {FIELD: old[FIELD]}, {FIELD: {"keyId": KEY.id, "mac": "0" * 64}}):
        bucket.write(at(150).join("COMPLETE"), json.dumps({**mark.to_wire(), **code}).encode())
        found = bucket.resume(tmp_path)
        assert found is not None
        assert found.step == 100


def test_complete_of_another_job_is_not_accepted(bucket: Bucket, tmp_path: Path) -> None:
    """The attacker swaps checkpoints between jobs of the same configuration, whose marks are all valid somewhere."""
    bucket.train(tmp_path / "other", 200, run=OTHER_RUN, key=OTHER_KEY)
    bucket.copy(at(200, run=OTHER_RUN), at(200))
    found = bucket.resume(tmp_path)
    assert found is not None
    assert found.step == 100


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_replaced_file_is_not_loaded(bucket: Bucket, tmp_path: Path, name: str) -> None:
    bucket.write(at(100).join(name), b"evil")
    found = bucket.resume(tmp_path)
    assert found is not None
    assert found.step == 50
    assert b"evil" not in {path.read_bytes() for path in found.folder.iterdir()}


def test_an_older_checkpoint_as_a_newer_one_is_not_accepted(bucket: Bucket, tmp_path: Path) -> None:
    bucket.copy(at(50), at(150))
    found = bucket.resume(tmp_path)
    assert found is not None
    assert found.step == 100


def test_a_replayed_older_checkpoint_is_reported(bucket: Bucket, tmp_path: Path) -> None:
    """The attacker deletes the newest one. What is left is authentic and is used; the conditions name what is lost."""
    bucket.delete_prefix(at(100))
    found = bucket.resume(tmp_path)
    assert found is not None
    assert found.step == 50
    lost = find_lost(recorded=100, resumed=found.step)
    assert lost is not None
    assert "resumed from step 50, although an earlier attempt stored a checkpoint of step 100" in lost.describe()
