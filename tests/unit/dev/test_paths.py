"""The folders of the tools, and which cluster the environment selects."""

from __future__ import annotations

import json

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.paths import find_paths, is_existing


def test_the_default_cluster_is_local(monkeypatch):
    monkeypatch.delenv("CLUSTER", raising=False)
    assert not is_existing()
    assert find_paths().kubeconfig == find_paths().build / "kubeconfig"


def test_with_an_existing_cluster_all_files_are_in_the_clone(monkeypatch):
    monkeypatch.setenv("CLUSTER", "existing")
    paths = find_paths()
    for folder in (paths.state, paths.run, paths.pki, paths.kubeconfig, paths.logs):
        assert folder.is_relative_to(paths.clone / "build" / "existing")


def test_an_unknown_value_is_refused(monkeypatch):
    monkeypatch.setenv("CLUSTER", "exisiting")
    with pytest.raises(DevError, match="CLUSTER is 'exisiting'"):
        find_paths()


def test_a_claim_of_an_earlier_boot_is_void(paths):
    assert not paths.is_claimed()
    paths.claim()
    assert paths.is_claimed()
    claim = paths.run / "claim.json"
    claim.write_text(json.dumps({**json.loads(claim.read_text()), "boot": "another"}))
    assert not paths.is_claimed()
