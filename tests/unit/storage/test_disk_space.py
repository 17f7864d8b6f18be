"""A full disk has many words: Python's, Rust's and PyTorch's."""

import errno

import pytest

from tunewright_storage.disk_space import is_disk_full


def chained(inner):
    try:
        try:
            raise inner
        except Exception as error:
            raise RuntimeError("cannot save the model") from error
    except RuntimeError as outer:
        return outer


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    RuntimeError("Data processing error: I/O error: No space left on device (os error 28)"),
    RuntimeError('Os { code: 28, kind: StorageFull, message: "No space left on device" }'),
    RuntimeError("I/O error: Disk quota exceeded (os error 122)"),
    ValueError("SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)"),
    RuntimeError(
        "[enforce fail at inline_container.cc:595] . PytorchStreamWriter failed writing file data/3: file write failed"
    ),
    RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 1088 vs 982"),
    RuntimeError("basic_ios::clear: iostream error"),
]
OTHER = [
    OSError(errno.EACCES, "Permission denied"),
    OSError(errno.EIO, "Input/output error"),
    RuntimeError("I/O error: Permission denied (os error 13)"),
    RuntimeError("CUDA error: out of memory"),
    ValueError("28 records"),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_disk_is_recognised(error):
    assert is_disk_full(error)
    assert is_disk_full(chained(error))


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_are_not(error):
    assert not is_disk_full(error)
    assert not is_disk_full(chained(error))


def test_a_cause_that_refers_to_itself_ends():
    error = RuntimeError("again")
    error.__cause__ = error
    assert not is_disk_full(error)
