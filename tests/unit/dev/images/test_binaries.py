from __future__ import annotations

from tunewright_dev.images import binaries
from tunewright_dev.paths import find_paths


def test_every_program_has_a_module_and_a_key_of_its_own():
    clone = find_paths().clone
    keys = [binaries.program_key(program, clone / "dev" / program.module) for program in binaries.PROGRAMS]
    assert len(set(keys)) == len(keys)


def test_other_linker_flags_make_another_program():
    module = find_paths().clone / "dev" / binaries.HYPERKUBE.module
    plain = binaries.Program("hyperkube", "hyperkube")
    assert binaries.program_key(plain, module) != binaries.program_key(binaries.HYPERKUBE, module)
