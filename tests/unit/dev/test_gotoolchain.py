from __future__ import annotations

import pytest

from tunewright_dev.images import binaries, go_toolchain
from tunewright_dev.paths import Paths, find_paths


@pytest.mark.parametrize(
    ("description", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19 linux/amd64", (1, 19)),
        ("go version devel", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_versions_are_read(description, version):
    assert go_toolchain.read_version(description) == version


def test_debians_own_go_is_too_old_and_any_later_than_the_minimum_will_do():
    assert go_toolchain.read_version("go version go1.19.8 linux/amd64") < go_toolchain.MINIMUM
    assert go_toolchain.read_version("go version go1.100.1 linux/amd64") >= go_toolchain.MINIMUM


def test_every_program_has_a_module_and_a_key_of_its_own():
    clone = find_paths().clone
    keys = [binaries.program_key(program, clone / "dev" / program.module) for program in binaries.PROGRAMS]
    assert len(set(keys)) == len(keys)


def test_a_home_without_its_toolchain_is_installed_over(monkeypatch, tmp_path):
    paths = Paths(clone=tmp_path, cache=tmp_path, state=tmp_path, run=tmp_path)
    home = tmp_path / "go-1"
    (home / "half").mkdir(parents=True)
    monkeypatch.setattr(go_toolchain.commands, "run_logged", lambda argv, _log: _install_into(argv))
    go_toolchain.install(paths, tmp_path / "go.txt", home)
    assert [path.name for path in home.iterdir()] == ["go"]


def _install_into(argv):
    folder = argv[argv.index("--target") + 1]
    (folder / "go").mkdir(parents=True)


def test_other_linker_flags_make_another_program():
    module = find_paths().clone / "dev" / binaries.HYPERKUBE.module
    plain = binaries.Program("hyperkube", "hyperkube")
    assert binaries.program_key(plain, module) != binaries.program_key(binaries.HYPERKUBE, module)
