"""The peak memory of this process and its descendants."""

import os

import pytest

from tunewright_server.telemetry import memory


@pytest.fixture
def proc(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path)

    def write(process: int, parent: int, kibibytes: int | None) -> None:
        (tmp_path / str(process)).mkdir()
        peak = "" if kibibytes is None else f"VmHWM:\t{kibibytes} kB\n"
        (tmp_path / str(process) / "status").write_text(f"Name:\tpython\nPPid:\t{parent}\n{peak}")

    return write


def test_only_descendants_count(proc):
    own = os.getpid()
    proc(own, 1, 2048)
    proc(own + 1, own, 1024)
    proc(own + 2, own + 1, 1024)
    proc(own + 3, 1, 99_999)
    proc(own + 4, own, None)  # a kernel thread has no memory of its own
    assert memory.read_peak_mebibytes() == 4


def test_processes_that_name_each_other_as_parent_cause_no_endless_loop(proc):
    own = os.getpid()
    proc(own, 1, 1024)
    proc(own + 1, own + 2, 1024)
    proc(own + 2, own + 1, 1024)
    assert memory.read_peak_mebibytes() == 1


def test_without_a_proc_file_system(proc):
    assert memory.read_peak_mebibytes() is None
