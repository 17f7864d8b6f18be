"""CLUSTER=existing: what is asked of the person, where things are written, and what is built how."""

from __future__ import annotations

import json

import pytest

from support.crds.schema import read_crds
from tunewright_dev import choice, topology
from tunewright_dev.errors import DevError
from tunewright_dev.existing import cluster as existing_cluster
from tunewright_dev.existing import images as existing_images
from tunewright_dev.images import build as images
from tunewright_dev.object_store import deployment as object_store
from tunewright_dev.paths import find_paths


def test_without_a_word_the_cluster_is_local(monkeypatch):
    monkeypatch.delenv("CLUSTER", raising=False)
    assert not choice.is_existing()
    assert find_paths().kubeconfig == find_paths().build / "kubeconfig"


def test_an_existing_cluster_leaves_the_machine_alone(monkeypatch):
    monkeypatch.setenv("CLUSTER", "existing")
    paths = find_paths()
    for folder in (paths.state, paths.run, paths.pki, paths.kubeconfig, paths.logs):
        assert folder.is_relative_to(paths.clone / "build" / "existing")


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("CLUSTER", "exisiting")
    with pytest.raises(DevError, match="CLUSTER is 'exisiting'"):
        find_paths()


@pytest.mark.parametrize("value", ["registry.example.com/tunewright", "127.0.0.1:5000/a/b", "host/path/"])
def test_a_registry_is_host_and_path(monkeypatch, value):
    monkeypatch.setenv("REGISTRY", value)
    assert choice.read_registry() == value.rstrip("/")


@pytest.mark.parametrize("value", ["", "registry.example.com", "https://registry.example.com/x", "host/Path", "a b/c"])
def test_anything_else_is_no_registry(monkeypatch, value):
    monkeypatch.setenv("REGISTRY", value)
    with pytest.raises(DevError, match="host/path"):
        choice.read_registry()


def test_missing_programs_are_named_and_not_installed(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DevError, match="needs kubectl and helm on the PATH"):
        existing_cluster.connect(find_paths())
    with pytest.raises(DevError, match="needs a docker or buildah"):
        existing_images.find_builder()


def test_everything_that_is_missing_is_said_at_once(monkeypatch):
    monkeypatch.setenv("CLUSTER", "existing")
    monkeypatch.delenv("REGISTRY", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DevError, match=r"REGISTRY is ''(.|\n)*kubectl and helm(.|\n)*docker or buildah"):
        existing_cluster.up(find_paths())


def test_no_builder_is_asked_for_where_everything_was_pushed(monkeypatch, tmp_path):
    for name in ("kubectl", "helm"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("REGISTRY", "host/path")
    found = find_paths()
    paths = found.__class__(clone=found.clone, cache=tmp_path, state=tmp_path, run=tmp_path, existing=True)
    names = existing_images.name_images(paths, images.read_table(paths.clone), "host/path")
    (tmp_path / "pushed.json").write_text(json.dumps(sorted(names.values())))
    existing_cluster.require_tools(paths)
    (tmp_path / "pushed.json").write_text(json.dumps([]))
    with pytest.raises(DevError, match=r"^CLUSTER=existing needs a docker or buildah"):
        existing_cluster.require_tools(paths)


def test_a_docker_without_its_daemon_is_passed_over(monkeypatch, tmp_path):
    for name, code in (("docker", 1), ("buildah", 0)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {code}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert existing_images.find_builder() == "buildah"


def test_images_stand_on_the_public_python_and_are_named_under_the_registry():
    paths = find_paths()
    table = images.read_table(paths.clone)
    names = existing_images.name_images(paths, table, "host/path")
    assert names["base"] == existing_images.BASE_IMAGE
    operator = next(image for image in table if image.name == "operator")
    assert names["operator"].startswith("host/path/operator:")
    command = existing_images.build_command("docker", operator, names, {"a": "b"}, paths.build)
    assert f"BASE_IMAGE={existing_images.BASE_IMAGE}" in command
    assert names["operator"] in command
    assert command[:3] == ["docker", "build", f"--platform={existing_images.PLATFORM}"]


def test_a_registry_on_this_machine_may_do_without_tls():
    assert existing_images.push_command("buildah", "127.0.0.1:5000/a/b:c")[2] == "--tls-verify=false"
    assert existing_images.push_command("buildah", "example.com/a/b:c") == ["buildah", "push", "example.com/a/b:c"]
    assert existing_images.push_command("docker", "localhost:5000/a/b:c") == ["docker", "push", "localhost:5000/a/b:c"]


def test_what_is_pushed_is_built_once_and_bases_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("CLUSTER", "existing")
    paths = find_paths().__class__(
        clone=find_paths().clone, cache=tmp_path, state=tmp_path / "state", run=tmp_path, existing=True
    )
    ran = []
    monkeypatch.setattr(existing_images, "find_builder", lambda: "docker")
    monkeypatch.setattr(
        existing_images.images, "stage_context", lambda _paths, _image, context: context.mkdir(parents=True)
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


def test_the_store_elsewhere_asks_for_no_address_and_no_disk_of_ours():
    assert "clusterIP" not in object_store.build_service()["spec"]
    assert object_store.build_service("10.96.0.33")["spec"]["clusterIP"] == str(topology.OBJECT_STORE_SERVICE)
    claim = object_store.build_claim()["spec"]
    assert "volumeName" not in claim
    assert "storageClassName" not in claim


def test_what_takes_it_away_names_every_definition_and_namespace():
    told = existing_cluster.explain_removal()
    assert "helm uninstall tunewright" in told
    (definitions,) = [line.split()[3:] for line in told.splitlines() if "kubectl delete crd" in line]
    assert sorted(definitions) == sorted(crd["metadata"]["name"] for crd in read_crds().values())
    assert "tunewright-system object-store serving support" in told
