"""A checkpoint is usable when it is complete, unchanged and of this configuration; the newest usable one is resumed."""

import io
import threading

import pytest
import urllib3
from botocore.awsrequest import AWSResponse

from support.document_keys import KEY, OTHER_KEY
from tunewright_contracts.authentication.document_key import DocumentKind
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.retrying_store import RetryingStore
from tunewright_trainer.train.checkpoints import FILE_NAMES, CheckpointStore, CompleteMark

RUN = StorageURI.parse("s3://bucket/adapters/runs/support/tickets-12345678")
ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def write_local(tmp_path):
    def write(step):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir(exist_ok=True)
        for name in (*FILE_NAMES, "training_args.bin", "README.md"):
            (folder / name).write_text(f"{name} at {step}")
        return folder

    return write


def save(store, write_local, *steps, attempt=1, pod="aaaaaaaa-0000", fingerprint=ONE, key=KEY):
    checkpoints = CheckpointStore(store, RUN, attempt, pod, fingerprint, key=key)
    for step in steps:
        assert checkpoints.save(step, write_local(step), last=True)
    checkpoints.finish()
    return checkpoints


def find(store, tmp_path, fingerprint=ONE):
    return CheckpointStore(store, RUN, 9, "ffffffff-0000", fingerprint, key=KEY).find_newest(tmp_path / "found")


def test_layout_and_number_of_checkpoints(store, write_local):
    checkpoints = save(store, write_local, 10, 20, 30)
    keys = {str(item.uri).removeprefix(f"{RUN}/checkpoints/") for item in store.list(RUN)}
    assert keys == {f"1-aaaaaaaa/step-0000{step}/{name}" for step in (20, 30) for name in (*FILE_NAMES, "COMPLETE")}
    assert checkpoints.latest_step == 30


def test_newest_of_any_attempt(store, write_local, tmp_path):
    save(store, write_local, 10, 20, attempt=1, pod="aaaaaaaa")
    save(store, write_local, 30, attempt=2, pod="bbbbbbbb")
    save(store, write_local, 25, attempt=3, pod="cccccccc")
    found = find(store, tmp_path)
    assert found.step == 30
    assert (found.folder / "optimizer.pt").read_text() == "optimizer.pt at 30"


def test_two_own_checkpoints_replace_those_of_earlier_attempts(store, write_local):
    save(store, write_local, 10, 20, attempt=1, pod="aaaaaaaa")
    save(store, write_local, 40, attempt=3, pod="cccccccc")
    save(store, write_local, 25, 30, attempt=2, pod="bbbbbbbb")
    left = {str(item.uri).removeprefix(f"{RUN}/checkpoints/").rpartition("/")[0] for item in store.list(RUN)}
    assert left == {"2-bbbbbbbb/step-000025", "2-bbbbbbbb/step-000030", "3-cccccccc/step-000040"}


def test_no_checkpoint(store, tmp_path):
    assert find(store, tmp_path) is None


def test_an_incomplete_checkpoint_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, 20)
    store.delete_prefix(RUN.join("checkpoints/1-aaaaaaaa/step-000020/COMPLETE"))
    assert find(store, tmp_path).step == 10


def test_a_changed_checkpoint_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, 20)
    store.write(RUN.join("checkpoints/1-aaaaaaaa/step-000020/optimizer.pt"), b"changed")
    assert find(store, tmp_path).step == 10


def test_a_checkpoint_with_a_missing_file_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, 20)
    store.delete_prefix(RUN.join("checkpoints/1-aaaaaaaa/step-000020/trainer_state.json"))
    assert find(store, tmp_path).step == 10


def test_a_checkpoint_whose_mark_names_other_files_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, 20)
    uri = RUN.join("checkpoints/1-aaaaaaaa/step-000020/COMPLETE")
    store.write(uri, store.read(uri).replace(b"optimizer.pt", b"../../escape"))
    assert find(store, tmp_path).step == 10


def test_a_checkpoint_over_the_budget_is_ignored(store, write_local, tmp_path, monkeypatch):
    save(store, write_local, 10, 20)
    size = sum(item.size for item in store.list(RUN.join("checkpoints/1-aaaaaaaa/step-000010"))) - 1
    store.write(RUN.join("checkpoints/1-aaaaaaaa/step-000020/optimizer.pt"), b"x" * size)
    monkeypatch.setattr("tunewright_trainer.train.checkpoints.MAX_CHECKPOINT_BYTES", size)
    assert find(store, tmp_path).step == 10
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["step-000010"]


def test_a_checkpoint_of_another_configuration_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, fingerprint=ONE)
    assert find(store, tmp_path, fingerprint=OTHER) is None


class RefusingStore(ObjectStore):
    """A store that refuses to read keys that contain a mark."""

    def __init__(self, store, reason, mark):
        super().__init__(store._client)
        self.reason, self.mark = reason, mark

    def read(self, uri, max_bytes=None):
        if self.mark in str(uri):
            raise StorageError(self.reason, f"cannot read {uri}")
        return super().read(uri, max_bytes)

    def download(self, uri, path, max_bytes=None):
        if self.mark in str(uri):
            raise StorageError(self.reason, f"cannot read {uri}")
        return super().download(uri, path, max_bytes)


@pytest.mark.parametrize("reason", [StorageReason.ACCESS_DENIED, StorageReason.UNREACHABLE])
def test_a_checkpoint_that_may_not_be_read_is_an_error_and_no_new_start(store, write_local, tmp_path, reason):
    save(store, write_local, 10)
    with pytest.raises(StorageError):
        find(RefusingStore(store, reason, "optimizer.pt"), tmp_path)


def test_a_checkpoint_that_another_pod_deletes_meanwhile_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10, 20)
    assert find(RefusingStore(store, StorageReason.NOT_FOUND, "step-000020"), tmp_path).step == 10


def test_no_file_of_a_bad_checkpoint_gets_into_another_of_the_same_step(store, write_local, tmp_path):
    save(store, write_local, 10, attempt=1, pod="aaaaaaaa")
    save(store, write_local, 10, attempt=2, pod="bbbbbbbb")
    good, bad = RUN.join("checkpoints/1-aaaaaaaa/step-000010"), RUN.join("checkpoints/2-bbbbbbbb/step-000010")
    store.write(bad.join("trainer_state.json"), b"changed")
    mark = CompleteMark.from_json(store.read(good.join("COMPLETE")))
    files = {name: digest for name, digest in mark.files.items() if name != "optimizer.pt"}
    store.write(good.join("COMPLETE"), KEY.seal(DocumentKind.CHECKPOINT, mark.updated(files=files)))
    assert not (find(store, tmp_path).folder / "optimizer.pt").exists()


def test_a_checkpoint_of_another_writer_is_ignored(store, write_local, tmp_path):
    save(store, write_local, 10)
    save(store, write_local, 20, attempt=2, pod="bbbbbbbb", key=OTHER_KEY)
    mark = CompleteMark(step=30, fingerprint=ONE, files=dict.fromkeys(FILE_NAMES[:2], ONE))
    store.write(RUN.join("checkpoints/3-cccccccc/step-000030/COMPLETE"), mark.to_json().encode())
    assert find(store, tmp_path).step == 10


class BrokenStore:
    """Fails every upload for one reason."""

    def __init__(self, reason):
        self.reason = reason

    def upload(self, _path, uri):
        raise StorageError(self.reason, f"cannot write {uri}")


def test_an_unreachable_store_loses_a_checkpoint_but_not_the_training(write_local):
    checkpoints = CheckpointStore(BrokenStore(StorageReason.UNREACHABLE), RUN, 1, "a", ONE, key=KEY)
    checkpoints.save(10, write_local(10))
    checkpoints.save(20, write_local(20), last=True)
    assert checkpoints.latest_step is None
    with pytest.raises(StorageError):  # the last one is needed
        checkpoints.finish()


def test_a_refusal_ends_the_training_at_the_next_checkpoint(write_local):
    checkpoints = CheckpointStore(BrokenStore(StorageReason.ACCESS_DENIED), RUN, 1, "a", ONE, key=KEY)
    checkpoints.save(10, write_local(10))
    with pytest.raises(StorageError):
        checkpoints.save(20, write_local(20), last=True)


def test_training_does_not_wait_for_a_slow_store_which_gets_the_last_checkpoint(store, write_local):
    away = threading.Event()

    class SlowStore:
        def upload(self, path, uri):
            assert away.wait(60)
            return store.upload(path, uri)

        def write(self, *arguments, **options):
            return store.write(*arguments, **options)

        def delete_prefix(self, prefix):
            return store.delete_prefix(prefix)

        def list(self, prefix):
            return store.list(prefix)

    checkpoints = CheckpointStore(SlowStore(), RUN, 1, "a", ONE, key=KEY)
    assert checkpoints.save(10, write_local(10)) is True
    assert checkpoints.save(20, write_local(20)) is False, "checkpoint 10 is still being uploaded"
    away.set()
    assert checkpoints.save(30, write_local(30), last=True) is True
    checkpoints.finish()
    assert checkpoints._saved == [10, 30]


def test_checkpoints_behind_a_proxy_that_answers_404_are_waited_for_and_found(store, write_local, tmp_path):
    save(store, write_local, 10)
    answers, waits = [404] * 3, []

    def answer(request, **_):
        if not answers:
            return None
        body = urllib3.HTTPResponse(io.BytesIO(b"<html><body>no healthy upstream</body></html>"), preload_content=False)
        return AWSResponse(request.url, answers.pop(), {}, body)

    client = store._client
    client.meta.events.register_first("before-send.s3", answer)
    try:
        patient = RetryingStore(store, Patience(600, waits.append))
        assert find(patient, tmp_path).step == 10
    finally:
        client.meta.events.unregister("before-send.s3", answer)
    assert waits == [1, 2, 4]
