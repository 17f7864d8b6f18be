"""Only calls to an unreachable side are repeated, with a time limit and not after SIGTERM."""

from __future__ import annotations

import pytest

from support.training import Time
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.process.patience import Patience


class Failing:
    """Fails a number of times, then answers."""

    def __init__(self, failures, reason=StorageReason.UNREACHABLE):
        self.left, self.reason = failures, reason

    def __call__(self):
        if self.left:
            self.left -= 1
            raise StorageError(self.reason, "cannot read s3://bucket/a")
        return b"data"


def test_waits_grow_to_half_a_minute():
    time = Time()
    assert Patience(600, time.wait, time.clock).repeat(Failing(8)) == b"data"
    assert time.waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_retries_end_after_the_time_limit():
    time = Time()
    with pytest.raises(StorageError):
        Patience(10, time.wait, time.clock).repeat(Failing(99))
    assert time.waits == [1, 2, 4]


def test_refusals_are_not_retried():
    time = Time()
    with pytest.raises(StorageError):
        Patience(600, time.wait, time.clock).repeat(Failing(1, StorageReason.ACCESS_DENIED))
    assert time.waits == []


def test_sigterm_ends_the_retries():
    time = Time(stop_after=2)
    with pytest.raises(StorageError):
        Patience(600, time.wait, time.clock).repeat(Failing(99))
    assert time.waits == [1, 2]
