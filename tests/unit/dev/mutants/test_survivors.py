"""A survivor needs a reason, and a reason needs a survivor."""

from __future__ import annotations

import ast

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.mutants import survivors
from tunewright_dev.mutants.mutation import list_mutants

PATH = "operator/src/a.py"


@pytest.fixture
def mutants():
    return list_mutants(ast.parse("x = 1\ny = 2\n"))


def find(mutants, alive=(), explained=()) -> list[str]:
    keys = frozenset(mutant.key for mutant in mutants)
    reasons = {(PATH, key): "it is equivalent" for key in explained}
    return survivors.find_problems({PATH: (mutants, keys)}, {(PATH, key) for key in alive}, reasons)


def test_all_killed(mutants):
    assert find(mutants) == []


def test_a_survivor_without_a_reason(mutants):
    (problem,) = find(mutants, alive=[mutants[1].key])
    assert problem == f"{PATH}:2: no test notices <module>: y = 2 => y = 3"


def test_a_survivor_with_a_reason(mutants):
    assert find(mutants, [mutants[1].key], [mutants[1].key]) == []


def test_a_reason_that_is_no_longer_needed(mutants):
    (problem,) = find(mutants, explained=[mutants[0].key])
    assert problem == f"{PATH}:1: a test notices <module>: x = 1 => x = 2; remove its line from the survivors"


def test_a_reason_for_a_mutant_that_no_longer_exists(mutants):
    (problem,) = find(mutants, explained=["f: x < 1 => x <= 1"])
    assert problem == f"{PATH}: there is no mutant f: x < 1 => x <= 1; remove its line from the survivors"


def test_the_file(tmp_path):
    path = tmp_path / "survivors.txt"
    path.write_text(f"# what it is\n\n{PATH} f: …a # b => a  # c…  # it is equivalent\n")
    assert survivors.read(path) == {(PATH, "f: …a # b => a  # c…"): "it is equivalent"}


@pytest.mark.parametrize("line", ["operator/src/a.py f: a => b", "operator/src/a.py  # why", "x y  # "])
def test_a_line_of_another_form(tmp_path, line):
    path = tmp_path / "survivors.txt"
    path.write_text(f"# what it is\n{line}\n")
    with pytest.raises(DevError, match=r"survivors\.txt:2: write it as"):
        survivors.read(path)
