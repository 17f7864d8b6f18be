"""Only unreachability is waited out, and neither for ever nor past SIGTERM."""

import pytest

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.process.retrying_store import PatientStore

URI = StorageURI.parse("s3://bucket/a")


class Time:
    def __init__(self, stop_after=None):
        self.now, self.waits, self._stop_after = 0.0, [], stop_after

    def clock(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return self._stop_after is not None and len(self.waits) >= self._stop_after


class FailingStore:
    """Fails so many times, then answers."""

    def __init__(self, failures, reason=StorageReason.UNREACHABLE):
        self.left, self.reason = failures, reason

    def read(self, uri, max_bytes=None):
        if self.left:
            self.left -= 1
            raise StorageError(self.reason, f"cannot read {uri}")
        return b"data"


def test_waits_grow_to_half_a_minute():
    time = Time()
    assert PatientStore(FailingStore(8), 600, time.wait, time.clock).read(URI) == b"data"
    assert time.waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_patience_ends():
    time = Time()
    with pytest.raises(StorageError):
        PatientStore(FailingStore(99), 10, time.wait, time.clock).read(URI)
    assert time.waits == [1, 2, 4]


def test_refusals_are_not_waited_out():
    time = Time()
    with pytest.raises(StorageError):
        PatientStore(FailingStore(1, StorageReason.ACCESS_DENIED), 600, time.wait, time.clock).read(URI)
    assert time.waits == []


def test_sigterm_ends_the_patience():
    time = Time(stop_after=2)
    with pytest.raises(StorageError):
        PatientStore(FailingStore(99), 600, time.wait, time.clock).read(URI)
    assert time.waits == [1, 2]


def test_every_call_of_a_store_goes_through(store, tmp_path):
    time = Time()
    patient = PatientStore(store, 0, time.wait, time.clock)
    patient.check_writable(StorageURI.parse("s3://bucket/x"))
    assert patient.write(URI, b"1", if_absent=True)
    assert not patient.write(URI, b"2", if_absent=True)
    assert patient.exists(URI)
    patient.download(URI, tmp_path / "a")
    assert patient.upload(tmp_path / "a", URI.join("b")) == patient.download(URI.join("b"), tmp_path / "b")
    assert [str(item.uri) for item in patient.list(URI)] == ["s3://bucket/a", "s3://bucket/a/b"]
    assert patient.delete_prefix(URI) == 2
