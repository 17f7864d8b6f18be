from __future__ import annotations

import pytest

from tunewright_dev import waiting
from tunewright_dev.local import processes

SLEEP = ("/bin/sleep", "600")


@pytest.fixture
def started(tmp_path):
    pid_file = tmp_path / "sleeper.pid"
    processes.start(
        "sleeper",
        SLEEP,
        spec="abc",
        log=tmp_path / "logs" / "sleeper.log",
        pid_file=pid_file,
        environment={"PATH": "/usr/bin:/bin"},
    )
    waiting.wait_for("the start", lambda: processes.find("sleeper", pid_file) is not None, timeout=30)
    yield pid_file
    found = processes.find("sleeper", pid_file)
    if found:
        processes.stop(found)


def fake_process(proc, pid, environment, executable):
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    folder.joinpath("environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in environment.items()))
    folder.joinpath("exe").symlink_to(executable)


def test_a_started_process_is_found_with_its_specification_and_stopped(started):
    found = processes.find("sleeper", started)
    assert found is not None
    assert (found.name, found.spec) == ("sleeper", "abc")
    assert found in list(processes.find_marked())
    processes.stop(found)
    assert not processes.is_running(found.pid)
    assert processes.find("sleeper", started) is None


def test_a_pid_that_another_program_uses_now_is_ignored(tmp_path):
    fake_process(tmp_path, 42, {"HOME": "/root"}, "/usr/bin/editor")
    (tmp_path / "etcd.pid").write_text("42\n")
    assert processes.find("etcd", tmp_path / "etcd.pid", tmp_path) is None


@pytest.mark.parametrize(
    ("name", "executable"), [("etcd", "/usr/bin/editor"), ("kubelet", "/opt/etcd")], ids=["executable", "name"]
)
def test_a_child_process_with_inherited_marks_is_not_the_component(tmp_path, name, executable):
    marks = {processes.NAME_VARIABLE: "etcd", processes.EXECUTABLE_VARIABLE: "/opt/etcd"}
    fake_process(tmp_path, 42, marks, executable)
    (tmp_path / "x.pid").write_text("42\n")
    assert processes.find(name, tmp_path / "x.pid", tmp_path) is None


def test_a_component_is_found_after_its_binary_was_replaced(tmp_path):
    marks = {processes.NAME_VARIABLE: "etcd", processes.EXECUTABLE_VARIABLE: "/opt/etcd"}
    fake_process(tmp_path, 42, marks, "/opt/etcd (deleted)")
    (tmp_path / "etcd.pid").write_text("42\n")
    assert processes.find("etcd", tmp_path / "etcd.pid", tmp_path) == processes.Process(42, "etcd", "")


@pytest.mark.parametrize("content", [None, "", "no number"], ids=["absent", "empty", "nonsense"])
def test_a_broken_pid_file_names_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "etcd.pid").write_text(content)
    assert processes.find("etcd", tmp_path / "etcd.pid", tmp_path) is None
