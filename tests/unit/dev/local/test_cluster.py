"""The steps of the local cluster, and the report about components that died. Nothing is started here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.local import cluster, leftovers
from tunewright_dev.local.cluster import Status

DEAD = Status("etcd", None, Path("/logs/etcd.log"))
ALIVE = Status("kubelet", 7, Path("/logs/kubelet.log"))


def test_a_machine_with_a_conflicting_route_is_refused_before_anything_is_built(monkeypatch, paths, tmp_path):
    said = []
    monkeypatch.setattr(cluster.locks, "_FOLDER", tmp_path)
    monkeypatch.setattr(cluster.host, "require_supported", lambda _: said.append("supported"))
    monkeypatch.setattr(cluster.host, "install_packages", lambda: said.append("packages"))
    monkeypatch.setattr(cluster.binaries, "building", lambda *_: said.append("builds"))
    monkeypatch.setattr(cluster.commands, "capture", lambda _: "10.96.0.0/16 dev other0\n")
    with pytest.raises(DevError, match=r"the route `10\.96\.0\.0/16 dev other0`"):
        cluster.up(paths)
    assert said == ["supported", "packages"]


def test_components_that_died_are_named_with_their_logs():
    text = cluster.explain_dead([DEAD, ALIVE])
    assert "etcd; its log is /logs/etcd.log" in text
    assert "kubelet" not in text


@pytest.mark.parametrize("statuses", [[], [ALIVE], [DEAD], [DEAD, DEAD]])
def test_a_running_or_stopped_cluster_has_no_dead_component(statuses):
    assert cluster.explain_dead(statuses) == ""


def test_a_component_that_was_never_started_did_not_die(monkeypatch, paths):
    monkeypatch.setattr(cluster, "read_status", lambda _: [DEAD, ALIVE])
    paths.records.mkdir(parents=True)
    (paths.records / "kubelet.pid").write_text("7")
    assert cluster.read_deaths(paths) == ""
    (paths.records / "etcd.pid").write_text("6")
    assert "/logs/etcd.log" in cluster.read_deaths(paths)


@pytest.fixture
def removal(monkeypatch, paths, tmp_path):
    """A claimed cluster whose removal changes only its folders."""
    monkeypatch.setattr(cluster.locks, "_FOLDER", tmp_path)
    monkeypatch.setattr(cluster.host, "require_root", lambda: None)
    monkeypatch.setattr(cluster, "_clear_leftovers", lambda _: None)
    monkeypatch.setattr(leftovers, "_PATIENCE_SECONDS", 0.0)
    paths.claim()
    (paths.state / "pki").mkdir()
    return paths


def test_down_fails_while_something_is_left_and_can_be_repeated(monkeypatch, removal):
    monkeypatch.setattr(leftovers, "find", lambda _: ["mount /run/tunewright/x"])
    with pytest.raises(DevError, match="mount /run/tunewright/x"):
        cluster.down(removal)
    assert removal.is_claimed()
    assert (removal.state / "pki").exists()
    monkeypatch.setattr(leftovers, "find", lambda _: [])
    cluster.down(removal)
    assert not removal.is_claimed()
    assert not (removal.state / "pki").exists()


def test_another_kubernetes_on_the_machine_is_not_a_leftover(monkeypatch, removal):
    (removal.run / "claim.json").unlink()
    monkeypatch.setattr(leftovers, "find", lambda _: ["control group /sys/fs/cgroup/kubepods"])
    cluster.down(removal)
