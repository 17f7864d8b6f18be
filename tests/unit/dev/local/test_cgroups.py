"""The pods' control groups, simulated by folders.

A file in a folder prevents its removal, as a process does in a real control group.
"""

import signal
import subprocess
import threading

import pytest

from tunewright_dev import waiting
from tunewright_dev.errors import DevError
from tunewright_dev.local import cgroups


@pytest.fixture
def pod(tmp_path):
    """The group of a container below a controller's top group."""
    folder = tmp_path / "blkio" / "kubepods" / "burstable" / "pod1" / "container"
    folder.mkdir(parents=True)
    return folder


def test_empty_groups_are_removed_with_their_parent(tmp_path, pod):
    (tmp_path / "kubepods" / "besteffort").mkdir(parents=True)
    cgroups.remove_groups(tmp_path)
    assert cgroups.find_groups(tmp_path) == []
    assert (tmp_path / "blkio").is_dir(), "a group of others stays"


def test_a_group_whose_last_process_still_ends_is_waited_for(tmp_path, pod):
    held = pod / "ending"
    held.touch()
    timer = threading.Timer(0.3, held.unlink)
    timer.start()
    cgroups.remove_groups(tmp_path)
    timer.join()
    assert cgroups.find_groups(tmp_path) == []


def test_a_process_that_a_shim_started_late_is_killed(tmp_path, pod):
    with subprocess.Popen(["sleep", "600"]) as late:
        listing = pod / "cgroup.procs"
        listing.write_text(f"{late.pid}\n")
        threading.Thread(target=lambda: (late.wait(), listing.unlink())).start()
        # The list is removed when the process ends. Its exit code does not matter: any process may reap it.
        cgroups.remove_groups(tmp_path)
    assert cgroups.find_groups(tmp_path) == []


def test_a_group_that_stays_in_use_is_named(tmp_path, pod, monkeypatch):
    (pod / "held").touch()
    patiently = waiting.wait_for
    monkeypatch.setattr(waiting, "wait_for", lambda *args, **options: patiently(*args, **options | {"timeout": 0.2}))
    with pytest.raises(DevError, match=r"^Timed out .*control groups\. Still in use: .*pod1/container"):
        cgroups.remove_groups(tmp_path)


def test_only_the_processes_of_one_container_are_killed(tmp_path, pod):
    other = pod.with_name("pause")
    other.mkdir()
    with subprocess.Popen(["sleep", "600"]) as victim, subprocess.Popen(["sleep", "600"]) as bystander:
        (pod / "cgroup.procs").write_text(f"{victim.pid}\n")
        (other / "cgroup.procs").write_text(f"{bystander.pid}\n")
        assert cgroups.kill_container("container", tmp_path)
        assert victim.wait(60) == -signal.SIGKILL
        assert bystander.poll() is None
        bystander.kill()
    assert not cgroups.kill_container("unknown", tmp_path)
