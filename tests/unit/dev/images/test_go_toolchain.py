from __future__ import annotations

import pytest

from tunewright_dev.images import go_toolchain


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


def test_the_go_of_debian_is_too_old_and_newer_ones_suffice():
    assert go_toolchain.read_version("go version go1.19.8 linux/amd64") < go_toolchain.MINIMUM
    assert go_toolchain.read_version("go version go1.100.1 linux/amd64") >= go_toolchain.MINIMUM


def test_an_incomplete_toolchain_is_installed_again(monkeypatch, paths, tmp_path):
    home = tmp_path / "go-1"
    (home / "half").mkdir(parents=True)
    monkeypatch.setattr(go_toolchain.commands, "run_logged", lambda argv, _log: _install_into(argv))
    go_toolchain.install(paths, tmp_path / "go.txt", home)
    assert [path.name for path in home.iterdir()] == ["go"]


def _install_into(argv):
    folder = argv[argv.index("--target") + 1]
    (folder / "go").mkdir(parents=True)
