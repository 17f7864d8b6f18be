"""Read the data file of survivors: mutants that no test can or needs to kill, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tunewright_dev.errors import DevError
from tunewright_dev.mutants.mutation import Mutant

Explained = Mapping[tuple[str, str], str]
"""(module, mutant's key) → the reason why it may survive."""

_SEPARATOR = "  # "


def read(path: Path) -> Explained:
    """Read the file: each line is ``<module> <key>  # <reason>``; empty lines and comments are skipped.

    Raises:
        DevError: a line has another form.
    """
    explained: dict[tuple[str, str], str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        text, separator, reason = line.rpartition(_SEPARATOR)
        module, space, key = text.partition(" ")
        if not separator or not space or not reason.strip():
            raise DevError(f"{path}:{number}: write it as <module> <mutant>{_SEPARATOR}<reason>")
        explained[module, key.strip()] = reason.strip()
    return explained


def find_problems(
    modules: Mapping[str, tuple[Iterable[Mutant], frozenset[str]]], alive: set[tuple[str, str]], explained: Explained
) -> list[str]:
    """Return what to fix: mutants that survived without a reason, and lines of the file that no longer apply.

    Args:
        modules: by path, the mutants that ran and the keys of all mutants.
        alive: (path, key) of the mutants that no test noticed.
        explained: the result of `read`.
    """
    problems: list[str] = []
    for path, (mutants, keys) in modules.items():
        for mutant in mutants:
            known = (path, mutant.key) in explained
            if (path, mutant.key) in alive and not known:
                problems.append(f"{path}:{mutant.line}: no test notices {mutant.key}")
            elif (path, mutant.key) not in alive and known:
                problems.append(
                    f"{path}:{mutant.line}: a test notices {mutant.key}; remove its line from the survivors"
                )
        problems += [
            f"{path}: there is no mutant {key}; remove its line from the survivors"
            for module, key in explained
            if module == path and key not in keys
        ]
    return problems
