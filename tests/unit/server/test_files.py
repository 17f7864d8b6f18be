"""A file is replaced as a whole, and a replaced file is detected."""

import os

import pytest

from tunewright_server.files import read_stamp, write_atomically


def test_a_written_file_is_complete_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "new" / "plan.json"
    for data in (b"one", b"two"):
        write_atomically(path, data)
        assert path.read_bytes() == data
        assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    write_atomically(path, b"old")

    def fail(_descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_stamp_changes_when_a_file_is_written_or_replaced(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one")
    first = read_stamp(path)
    assert read_stamp(path) == first
    path.write_bytes(b"three")
    written = read_stamp(path)
    assert written != first
    other.write_bytes(b"three")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert read_stamp(path) != written, "same time and size, but another file"


def test_a_missing_file_has_no_stamp(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_stamp(tmp_path / "missing")
