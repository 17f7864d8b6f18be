"""CLUSTER=existing: the registry, the builder, and how images are built."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.existing import images as existing_images
from tunewright_dev.images import table
from tunewright_dev.paths import find_paths


@pytest.mark.parametrize("value", ["registry.example.com/tunewright", "127.0.0.1:5000/a/b", "host/path/"])
def test_a_registry_is_host_and_path(monkeypatch, value):
    monkeypatch.setenv("REGISTRY", value)
    assert existing_images.read_registry() == value.rstrip("/")


@pytest.mark.parametrize("value", ["", "registry.example.com", "https://registry.example.com/x", "host/Path", "a b/c"])
def test_anything_else_is_no_registry(monkeypatch, value):
    monkeypatch.setenv("REGISTRY", value)
    with pytest.raises(DevError, match="host/path"):
        existing_images.read_registry()


def test_a_docker_without_its_daemon_is_not_used(monkeypatch, tmp_path):
    for name, code in (("docker", 1), ("buildah", 0)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert existing_images.find_builder() == "buildah"


def test_images_are_based_on_the_public_python_and_named_under_the_registry():
    paths = find_paths()
    listed = table.read_table(paths.clone)
    names = existing_images.name_images(paths, listed, "host/path")
    assert names["base"] == existing_images.BASE_IMAGE
    operator = next(image for image in listed if image.name == "operator")
    assert names["operator"].startswith("host/path/operator:")
    command = existing_images.build_command("docker", operator, names, {"a": "b"}, paths.build)
    assert f"BASE_IMAGE={existing_images.BASE_IMAGE}" in command
    assert names["operator"] in command
    assert command[:3] == ["docker", "build", f"--platform={existing_images.PLATFORM}"]


def test_a_registry_on_this_machine_needs_no_tls():
    assert existing_images.push_command("buildah", "127.0.0.1:5000/a/b:c")[2] == "--tls-verify=false"
    assert existing_images.push_command("buildah", "example.com/a/b:c") == ["buildah", "push", "example.com/a/b:c"]
    assert existing_images.push_command("docker", "localhost:5000/a/b:c") == ["docker", "push", "localhost:5000/a/b:c"]


def test_pushed_images_are_built_once_and_bases_are_not_pushed(monkeypatch, tmp_path):
    monkeypatch.setenv("CLUSTER", "existing")
    paths = dataclasses.replace(find_paths(), cache=tmp_path, state=tmp_path / "state", run=tmp_path)
    ran = []
    monkeypatch.setattr(existing_images, "find_builder", lambda: "docker")
    monkeypatch.setattr(
        existing_images.table, "stage_context", lambda _paths, _image, context: context.mkdir(parents=True)
    )
    monkeypatch.setattr(existing_images.commands, "run_logged", lambda argv, _log: ran.append(argv))
    monkeypatch.setattr(existing_images.files, "write", _write_unless_in_clone(paths.clone))
    names = existing_images.ensure_images(paths, "host/path")
    pushed = [argv[-1] for argv in ran if argv[1] == "push"]
    assert set(pushed) == {names[name] for name in ("seaweedfs", "operator", "demo-models", "trainer", "server")}
    assert not any("pause" in word or "coredns" in word for argv in ran for word in map(str, argv))
    ran.clear()
    existing_images.ensure_images(paths, "host/path")
    assert ran == []
    existing_images.ensure_images(paths, "other/path")
    assert len([argv for argv in ran if argv[1] == "push"]) == len(pushed)


def _write_unless_in_clone(clone):
    def write(path, text):
        if not path.is_relative_to(clone):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            assert path == clone / "build" / "images.json"
            assert set(json.loads(text)) >= {"operator", "trainer", "server", "demo-models"}

    return write
