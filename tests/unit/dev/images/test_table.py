from __future__ import annotations

import json
import re
import subprocess

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.images import table as images
from tunewright_dev.paths import find_paths

TABLE = """
[[image]]
name = "base"
containerfile = "base/Containerfile"

[[image]]
name = "app"
containerfile = "app/Containerfile"
base = "base"
inputs = ["src"]
"""


@pytest.fixture
def paths(paths):
    clone = paths.clone
    for name, text in {
        images.TABLE: TABLE,
        "base/Containerfile": "FROM scratch\n",
        "app/Containerfile": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY src /app\n",
        "src/main.py": "print(1)\n",
        "README.md": "",
    }.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text)
    return paths


def tags(paths):
    named = images.name_images(paths, images.read_table(paths.clone))
    return {name: reference.tag for name, reference in named.items()}


def test_a_changed_source_changes_only_the_image_that_contains_it(paths):
    before = tags(paths)
    (paths.clone / "src/main.py").write_text("print(2)\n")
    after = tags(paths)
    assert after["base"] == before["base"]
    assert after["app"] != before["app"]


def test_a_new_base_changes_all_that_is_built_on_it(paths):
    before = tags(paths)
    (paths.clone / "base/Containerfile").write_text("FROM scratch\nUSER 1\n")
    after = tags(paths)
    assert after["base"] != before["base"]
    assert after["app"] != before["app"]


def test_a_file_that_is_no_input_changes_nothing(paths):
    before = tags(paths)
    (paths.clone / "README.md").write_text("words")
    assert tags(paths) == before


def test_a_base_must_come_first(paths):
    (paths.clone / images.TABLE).write_text(TABLE.replace('name = "base"', 'name = "other"'))
    with pytest.raises(DevError, match="'app' has the base 'base', which must come before it"):
        images.read_table(paths.clone)


def test_an_unknown_artefact_is_named_with_the_known_ones(paths):
    (paths.clone / images.TABLE).write_text(TABLE + 'artefacts = ["nope"]\n')
    with pytest.raises(DevError, match=r"\['nope'\]; use some of .*'pause'"):
        images.read_table(paths.clone)


def test_a_missing_input_is_named(paths):
    (paths.clone / "src/main.py").unlink()
    (paths.clone / "src").rmdir()
    with pytest.raises(DevError, match=r"image 'app' has the input .*src, which does not exist"):
        tags(paths)


def test_the_image_names_for_pods_are_written_to_a_file(paths):
    named = images.name_images(paths, images.read_table(paths.clone))
    images.write_references(paths, named)
    written = json.loads((paths.build / "images.json").read_text())
    assert written["app"] == f"registry.tunewright.local:5000/tunewright/app:{named['app'].tag}"


def test_the_table_of_the_project_is_valid():
    table = images.read_table(find_paths().clone)
    assert {image.name for image in table if image.cluster} == {"pause", "coredns", "seaweedfs"}


def test_a_clone_that_differs_from_its_commit_is_called_dirty(paths, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (paths.clone / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=all"],
    ):
        subprocess.run(["git", "-C", paths.clone, *arguments], check=True)
    (_, image) = images.read_table(paths.clone)
    key = "org.opencontainers.image.revision"
    commit = images.build_labels(paths, image)[key]
    assert re.fullmatch("[0-9a-f]{40}", commit)
    before = tags(paths)
    (paths.clone / "README.md").write_text("words")
    assert images.build_labels(paths, image)[key] == f"{commit}-dirty"
    assert tags(paths) == before


@pytest.mark.parametrize("name", ["operator", "trainer", "server"])
def test_a_released_image_has_labels_that_describe_it(name):
    clone = find_paths().clone
    (image,) = [image for image in images.read_table(clone) if image.name == name]
    text = (clone / image.containerfile).read_text()
    for label, value in {
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "licenses": images.LICENCE,
    }.items():
        assert f'org.opencontainers.image.{label}="{value}"' in text
    for argument in ("VERSION", "REVISION"):
        assert text.index(f"ARG {argument}=") < text.index(f"${{{argument}}}")


@pytest.mark.parametrize("path", ["", None])
def test_an_archive_or_a_machine_without_git_has_no_revision(paths, monkeypatch, path):
    if path is not None:
        monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(paths.clone.parent))
    (paths.clone / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (image, _) = images.read_table(paths.clone)
    labels = images.build_labels(paths, image)
    assert labels["org.opencontainers.image.revision"] == "unknown"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
