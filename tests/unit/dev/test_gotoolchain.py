from __future__ import annotations

import pytest

from tunewright_dev import binaries, gotoolchain
from tunewright_dev.paths import find_paths


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
    assert gotoolchain.read_version(description) == version


def test_debians_own_go_is_too_old_and_any_later_than_the_minimum_will_do():
    assert gotoolchain.read_version("go version go1.19.8 linux/amd64") < gotoolchain.MINIMUM
    assert gotoolchain.read_version("go version go1.100.1 linux/amd64") >= gotoolchain.MINIMUM


def test_every_program_has_a_module_and_a_key_of_its_own():
    clone = find_paths().clone
    keys = [binaries.program_key(program, clone / "dev" / program.module) for program in binaries.PROGRAMS]
    assert len(set(keys)) == len(keys)


def test_other_linker_flags_make_another_program():
    module = find_paths().clone / "dev" / binaries.HYPERKUBE.module
    plain = binaries.Program("hyperkube", "hyperkube")
    assert binaries.program_key(plain, module) != binaries.program_key(binaries.HYPERKUBE, module)
