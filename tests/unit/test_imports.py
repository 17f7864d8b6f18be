"""No import cycles, imports inside functions included, and no folders with too many modules.

import-linter checks the same for sibling packages (pyproject.toml); this also sees a cycle between a package's
``__init__`` and its modules.
"""

from __future__ import annotations

import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = tuple(PYPROJECT["tool"]["importlinter"]["root_packages"])
MAX_MODULES = 20
SELF_IMPORTING = {"cyclic.first": "def use():\n    import cyclic.second\n", "cyclic.second": "import cyclic.first\n"}
OVER_THE_PACKAGE = {"cyclic": "import cyclic.first\n", "cyclic.first": "def use():\n    import cyclic\n"}


def find_cycle(*packages: str) -> list[str]:
    """Return the modules of one import cycle, with the first one repeated at the end, or nothing."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def write_package(folder: Path, modules: dict[str, str]) -> None:
    for name, text in {"cyclic": "", **modules}.items():
        path = folder.joinpath(*name.split("."))
        path = path / "__init__.py" if name == "cyclic" else path.with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_no_module_imports_itself_through_others():
    assert find_cycle(*PACKAGES) == []


@pytest.mark.parametrize("modules", [SELF_IMPORTING, OVER_THE_PACKAGE])
def test_a_cycle_through_an_import_inside_a_function_is_found(tmp_path, monkeypatch, modules):
    write_package(tmp_path, modules)
    monkeypatch.syspath_prepend(tmp_path)
    cycle = find_cycle("cyclic")
    assert cycle[0] == cycle[-1]
    assert set(cycle) == set(modules)


def test_the_linter_fails_on_a_cycle(tmp_path):
    write_package(tmp_path, SELF_IMPORTING)
    rule = next(item for item in PYPROJECT["tool"]["importlinter"]["contracts"] if item["type"] == "acyclic_siblings")
    config = tmp_path / "rules.toml"
    config.write_text(
        f'[tool.importlinter]\nroot_packages = ["cyclic"]\n[[tool.importlinter.contracts]]\n'
        f'name = "{rule["name"]}"\ntype = "{rule["type"]}"\nancestors = ["cyclic"]\n'
    )
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(config)]
    run = subprocess.run(linter, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "No cycles are allowed in cyclic" in run.stdout


def test_every_package_is_checked():
    rules = PYPROJECT["tool"]["importlinter"]["contracts"]
    acyclic = {name for rule in rules if rule["type"] == "acyclic_siblings" for name in rule["ancestors"]}
    own = set(PYPROJECT["tool"]["ruff"]["lint"]["isort"]["known-first-party"])
    assert set(PACKAGES) == own
    assert acyclic == own


def test_a_folder_holds_at_most_20_modules():
    sources = [path for top in ROOT.glob("*/src") for path in top.rglob("*.py") if path.name != "__init__.py"]
    assert sources
    counts = {path.parent.relative_to(ROOT): 0 for path in sources}
    for path in sources:
        counts[path.parent.relative_to(ROOT)] += 1
    assert {str(folder): count for folder, count in counts.items() if count > MAX_MODULES} == {}
