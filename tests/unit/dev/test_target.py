"""The two clusters on which the commands work, and their differences."""

from __future__ import annotations

import pytest

from tunewright_dev import target
from tunewright_dev.errors import DevError
from tunewright_dev.local.cluster import Status as Component


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", target.LocalTarget), ("local", target.LocalTarget), ("existing", target.ExistingTarget)],
)
def test_the_environment_selects_the_cluster(monkeypatch, value, expected):
    monkeypatch.setenv("CLUSTER", value)
    assert isinstance(target.find_target(), expected)


def test_an_unknown_value_selects_none(monkeypatch):
    monkeypatch.setenv("CLUSTER", "exisiting")
    with pytest.raises(DevError, match="CLUSTER is 'exisiting'"):
        target.find_target()


def test_the_local_clusters_environment_has_the_programs_in_build_bin(paths):
    assert target.LocalTarget(paths).format_environment() == (
        f"export KUBECONFIG={paths.kubeconfig} PATH={paths.clone}/build/bin:$PATH"
    )


def test_an_existing_clusters_environment_uses_the_programs_of_the_machine(paths):
    assert target.ExistingTarget(paths).format_environment() == f"export KUBECONFIG={paths.kubeconfig}"


@pytest.mark.parametrize(("pid", "whole"), [(7, True), (None, False)])
def test_a_status_is_complete_when_every_component_runs(monkeypatch, paths, pid, whole):
    found = [Component("etcd", 6, paths.logs / "etcd.log"), Component("kubelet", pid, paths.logs / "kubelet.log")]
    monkeypatch.setattr(target.local_cluster, "read_status", lambda _: found)
    status = target.LocalTarget(paths).read_status()
    assert status.is_whole == whole
    assert ("NOT RUNNING" in status.text) != whole
    assert "kubelet.log" in status.text


def test_a_machine_is_bare_until_something_was_built_on_it(paths):
    assert target.LocalTarget(paths).is_bare()
    paths.binaries.mkdir(parents=True)
    assert not target.LocalTarget(paths).is_bare()
    assert not target.ExistingTarget(paths).is_bare()


def test_components_of_an_existing_cluster_are_not_checked(paths):
    assert target.ExistingTarget(paths).explain_deaths() == ""


def test_an_existing_cluster_is_not_stopped(paths):
    assert "kubectl delete" in target.ExistingTarget(paths).down()
