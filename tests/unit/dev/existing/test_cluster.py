"""CLUSTER=existing: what the machine needs, and how everything is removed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from support.crds.schema import read_crds
from tunewright_dev.errors import DevError
from tunewright_dev.existing import cluster as existing_cluster
from tunewright_dev.existing import images as existing_images
from tunewright_dev.images import table
from tunewright_dev.paths import find_paths


def test_missing_programs_are_named_and_not_installed(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DevError, match="needs kubectl and helm on the PATH"):
        existing_cluster.connect(find_paths())
    with pytest.raises(DevError, match="needs a working docker or buildah"):
        existing_images.find_builder()


def test_all_missing_prerequisites_are_reported_at_once(monkeypatch):
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.delenv("REGISTRY", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DevError, match=r"REGISTRY is ''(.|\n)*kubectl and helm(.|\n)*docker or buildah"):
        existing_cluster.up(find_paths())


def test_no_builder_is_needed_when_all_images_were_pushed(monkeypatch, tmp_path):
    for name in ("kubectl", "helm"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("REGISTRY", "host/path")
    paths = dataclasses.replace(find_paths(), cache=tmp_path, state=tmp_path, run=tmp_path)
    names = existing_images.name_images(paths, table.read_table(paths.clone), "host/path")
    (tmp_path / "pushed.json").write_text(json.dumps(sorted(names.values())))
    existing_cluster.require_tools(paths)
    (tmp_path / "pushed.json").write_text(json.dumps([]))
    with pytest.raises(DevError, match=r"^CLUSTER=existing needs a working docker or buildah"):
        existing_cluster.require_tools(paths)


def test_the_removal_instructions_name_every_definition_and_namespace():
    text = existing_cluster.explain_removal()
    assert "helm uninstall tunewright" in text
    (definitions,) = [line.split()[3:] for line in text.splitlines() if "kubectl delete crd" in line]
    assert sorted(definitions) == sorted(crd["metadata"]["name"] for crd in read_crds().values())
    assert "tunewright-system object-store serving support" in text
