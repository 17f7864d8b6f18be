"""Run some of the tests for `make test ARGS="…"`: only the stages in which pytest selects a test.

ARGS are pytest's arguments: options such as ``-k name``, and folders, files and names below ``tests/``.

So a unit test needs no cluster, and a test on the cluster does not wait for a stage without matching tests.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from tunewright_dev import console
from tunewright_dev.errors import DevError
from tunewright_dev.paths import find_paths

Run = Callable[[Sequence[str]], int]
"""Run a Python module with its arguments and return the exit code."""

TESTS = "tests"
LOCAL = ("tests/unit", "tests/loop", "tests/security")
ON_CLUSTER = ("tests/chart", "tests/e2e")
# What `make install` does.
INSTALL = ("up", "images", "install")


def run_picked(arguments: Sequence[str], *, collect: Run, run: Run) -> int:
    """Run the tests that pytest selects by `arguments`, those on the cluster last; return the first exit code but 0.

    Raises:
        DevError: no test is selected.
    """
    named = [argument.rstrip("/") for argument in arguments if _names_tests(argument)]
    options = [argument for argument in arguments if not _names_tests(argument)]
    places = [_choose_places(folders, named) for folders in (LOCAL, ON_CLUSTER)]
    local, on_cluster = (bool(each) and has_tests(each, options, collect) for each in places)
    if not local and not on_cluster:
        raise DevError(
            f"ARGS={' '.join(arguments)!r} selects no test in {', '.join((*LOCAL, *ON_CLUSTER))}."
            " Use `-k` with a part of the name of a test, its file or its folder, or name files such as"
            " `tests/unit/storage/test_hub.py`."
        )
    steps: list[list[str]] = []
    if local:
        steps.append(["pytest", *places[0], *options])
    if on_cluster:
        steps += [["tunewright_dev", command] for command in INSTALL]
        steps.append(["pytest", *places[1], *options])
    return next((code for code in map(run, steps) if code != 0), 0)


def _names_tests(argument: str) -> bool:
    return _is_below(argument, TESTS)


def _choose_places(folders: Sequence[str], named: Sequence[str]) -> list[str]:
    """Return what pytest gets for a stage: its folders, or the parts of them that the arguments name."""
    if not named:
        return list(folders)
    inside = [name for name in named if any(_is_below(name, folder) for folder in folders)]
    whole = [folder for folder in folders if any(_is_below(folder, name) for name in named)]
    return list(dict.fromkeys([*inside, *whole]))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def has_tests(folders: Sequence[str], arguments: Sequence[str], collect: Run) -> bool:
    """Return whether pytest selects a test in the folders.

    Raises:
        DevError: pytest failed because of wrong arguments or of a file that cannot be imported.
    """
    code = collect(["pytest", *folders, "--collect-only", "--quiet", *arguments])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise DevError(f"pytest could not collect the tests in {', '.join(folders)}; its output is above.")
    return code == pytest.ExitCode.OK


def _collect(arguments: Sequence[str]) -> int:
    done = _start(arguments, stdout=subprocess.PIPE)
    # Print the output only if pytest failed; otherwise it is the list of all selected tests.
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        console.say(done.stdout)
    return done.returncode


def _run(arguments: Sequence[str]) -> int:
    return _start(arguments).returncode


def _start(arguments: Sequence[str], stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", *arguments]
    return subprocess.run(argv, cwd=find_paths().clone, stdout=stdout, text=True, check=False)


def main() -> int:
    """Run the tests that the command line selects."""
    try:
        return run_picked(sys.argv[1:], collect=_collect, run=_run)
    except DevError as error:
        console.warn(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
