"""The programs of one `go build`, and where they are stored."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.images import binaries
from tunewright_dev.paths import find_paths

PROGRAMS = (*binaries.CLUSTER, *binaries.TOOLS)
PEER = (binaries.KUBERAY,)
# A fake `go`: for `-o FOLDER PACKAGE…` it writes a file for each package, as `go build` does.
GO = f"""#!{sys.executable}
import pathlib, sys
folder, *packages = sys.argv[sys.argv.index("-o") + 1:]
for package in packages:
    (pathlib.Path(folder) / package.rpartition("/")[2]).write_text(package)
"""


@pytest.fixture
def paths(monkeypatch, paths, tmp_path):
    """A clone with the Go module's files, and a fake Go that builds without delay."""
    module = paths.clone / "dev" / "go"
    for name in ("go.mod", "go.sum", *(f"{one.name}/main.go" for one in binaries.CLUSTER)):
        (module / name).parent.mkdir(parents=True, exist_ok=True)
        (module / name).write_text(name)
    go = tmp_path / "go"
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setattr(binaries.go_toolchain, "ensure_go", lambda _: go)
    monkeypatch.setattr(binaries.locks, "_FOLDER", tmp_path)
    return paths


def test_every_program_has_a_module_and_a_unique_key():
    keys = [binaries.program_key(find_paths(), program) for program in (*PROGRAMS, *PEER)]
    assert len(set(keys)) == len(keys)


def test_other_linker_flags_make_another_program():
    plain = dataclasses.replace(binaries.HYPERKUBE, linker_flags="")
    assert binaries.program_key(find_paths(), plain) != binaries.program_key(find_paths(), binaries.HYPERKUBE)


def test_a_module_version_changes_all_programs_but_a_source_only_its_own(paths):
    def keys():
        return {program.name: binaries.program_key(paths, program) for program in PROGRAMS}

    before, module = keys(), paths.clone / "dev" / "go"
    (module / "coredns" / "main.go").write_text("other")
    after = keys()
    assert {name for name, key in after.items() if key != before[name]} == {"coredns"}
    (module / "go.sum").write_text("other")
    assert not set(keys().values()) & set(after.values())


def test_each_program_is_stamped_with_its_own_flags():
    arguments = binaries.build_arguments(PROGRAMS, find_paths().cache)
    flags = [argument.removeprefix("-ldflags=") for argument in arguments if argument.startswith("-ldflags=")]
    assert flags[0] == "-s -w"
    assert {flag.partition("=")[0] for flag in flags[1:]} == {"./hyperkube", "helm.sh/helm/v3/cmd/helm"}
    assert all("=-s -w -X " in flag for flag in flags[1:])
    assert arguments[-len(PROGRAMS) :] == [program.package for program in PROGRAMS]


def test_programs_are_built_together_and_once(monkeypatch, paths):
    built = binaries.ensure_programs(paths, PROGRAMS)
    assert {name: path.read_text() for name, path in built.items()} == {one.name: one.package for one in PROGRAMS}
    assert (built["hyperkube"].parent / "kubectl").read_text() == "./hyperkube"
    monkeypatch.setattr(binaries.commands, "running", _refuse)
    assert binaries.ensure_programs(paths, PROGRAMS) == built


def test_a_program_is_built_in_the_folder_of_its_module(monkeypatch, paths):
    module = paths.clone / "dev" / "go-peer"
    module.mkdir()
    for name in ("go.mod", "go.sum"):
        (module / name).write_text(name)
    folders, running = [], binaries.commands.running
    monkeypatch.setattr(
        binaries.commands,
        "running",
        lambda argv, log, *, env, cwd: folders.append(cwd) or running(argv, log, env=env, cwd=cwd),
    )
    binaries.ensure_program(paths, binaries.KUBERAY)
    binaries.ensure_program(paths, binaries.HELM)
    assert folders == [module, paths.clone / "dev" / "go"]


def test_a_module_is_fetched_at_the_version_of_its_program(monkeypatch, paths):
    asked = {}
    monkeypatch.setattr(
        binaries.commands, "capture", lambda argv, **named: asked.update(argv=argv, **named) or '{"Dir": "/mod/ray"}'
    )
    assert binaries.fetch_module(paths, binaries.KUBERAY, binaries.KUBERAY_MODULE) == Path("/mod/ray")
    assert asked["argv"][1:] == ["mod", "download", "-json", binaries.KUBERAY_MODULE]
    assert asked["cwd"] == paths.clone / "dev" / "go-peer"


def test_only_what_is_missing_is_built(monkeypatch, paths):
    binaries.ensure_programs(paths, binaries.CLUSTER)
    packages, arguments = [], binaries.build_arguments
    monkeypatch.setattr(
        binaries,
        "build_arguments",
        lambda programs, folder: packages.extend(one.name for one in programs) or arguments(programs, folder),
    )
    binaries.ensure_programs(paths, PROGRAMS)
    assert packages == ["helm", "kubeconform"]


def test_the_block_knows_whether_a_build_runs(paths):
    with binaries.building(paths, binaries.TOOLS) as builds:
        assert builds
    with binaries.building(paths, binaries.TOOLS) as builds:
        assert not builds


def test_an_interrupted_build_leaves_no_program_and_starts_again(paths):
    with pytest.raises(DevError, match="a download"), binaries.building(paths, binaries.TOOLS):
        raise DevError("a download")
    assert not binaries.find_program(paths, binaries.HELM).exists()
    assert binaries.ensure_program(paths, binaries.HELM).is_file()


def test_built_programs_are_linked_in_build_bin(paths):
    tools = binaries.ensure_programs(paths, binaries.TOOLS)
    binaries.link_programs(paths, tools)
    binaries.link_programs(paths, tools)
    assert (paths.build / "bin" / "helm").resolve() == tools["helm"]


def _refuse(*_arguments, **_named):
    raise AssertionError("built again")
