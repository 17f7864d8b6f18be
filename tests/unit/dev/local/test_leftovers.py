"""What `down` searches for after it removed everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.local import leftovers
from tunewright_dev.local.processes import Process
from tunewright_dev.paths import Paths

PATHS = Paths(
    clone=Path("/clone"),
    cache=Path("/cache"),
    state=Path("/state"),
    run=Path("/run/ours"),
    kubeconfig=Path("/kubeconfig"),
)


@pytest.fixture
def clean(monkeypatch):
    """A machine without anything of the cluster."""
    monkeypatch.setattr(leftovers, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(leftovers.mounts, "find_mounts", lambda _table, _folders: [])
    monkeypatch.setattr(leftovers.processes, "find_marked", list)
    monkeypatch.setattr(leftovers.cgroups, "find_groups", list)
    monkeypatch.setattr(leftovers.network, "find_interfaces", list)
    monkeypatch.setattr(leftovers.firewall, "find_chains", list)


@pytest.mark.usefixtures("clean")
def test_a_clean_machine_has_no_leftovers():
    leftovers.require_none(PATHS)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("where", "found", "message"),
    [
        ("processes.find_marked", [Process(42, "etcd", "")], r"process 42 \(etcd\)"),
        ("cgroups.find_groups", [Path("/sys/fs/cgroup/kubepods")], "control group /sys/fs/cgroup/kubepods"),
        ("network.find_interfaces", ["tunewright0"], "interface tunewright0"),
        ("firewall.find_chains", ["iptables chain KUBE-PROXY of table nat"], "chain KUBE-PROXY of table nat"),
    ],
)
def test_each_thing_that_is_left_is_named(monkeypatch, where, found, message):
    module, _, function = where.partition(".")
    monkeypatch.setattr(getattr(leftovers, module), function, lambda: found)
    with pytest.raises(DevError, match=message):
        leftovers.require_none(PATHS)


@pytest.mark.usefixtures("clean")
def test_mounts_and_network_namespaces_are_searched_in_both_folders(monkeypatch):
    asked = []
    point = Path("/run/ours/containerd/netns/cni-1")
    monkeypatch.setattr(leftovers.mounts, "find_mounts", lambda _table, folders: [asked.extend(folders), point][1:])
    with pytest.raises(DevError, match="mount /run/ours/containerd/netns/cni-1"):
        leftovers.require_none(PATHS)
    assert asked[:2] == [PATHS.run, PATHS.state]


@pytest.mark.usefixtures("clean")
def test_resources_that_the_kernel_removes_with_delay_are_waited_for(monkeypatch):
    monkeypatch.setattr(leftovers, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(leftovers, "_POLL_SECONDS", 0.0)
    dying = [Process(42, "etcd", "")]
    answers = [dying, dying, []]
    monkeypatch.setattr(leftovers.processes, "find_marked", lambda: answers.pop(0))
    leftovers.require_none(PATHS)
    assert answers == []
