"""Run some of the tests, as `make test ARGS="-k name"` does: only the stages in which pytest picks any.

A unit test so asks for no cluster, and a test on the cluster is not held up by a stage that has none of that name.
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
"""Runs a Python module with its arguments and returns the exit code."""

LOCAL = ("tests/unit", "tests/loop")
ON_CLUSTER = ("tests/chart", "tests/e2e")
# What `make install` does.
INSTALL = ("up", "images", "install")


def run_picked(arguments: Sequence[str], *, collect: Run, run: Run) -> int:
    """Run the tests that pytest picks by `arguments`, those on the cluster last;
    return the first exit code that is not 0.

    Raises:
        DevError: there is no such test.
    """
    local, on_cluster = (has_tests(folders, arguments, collect) for folders in (LOCAL, ON_CLUSTER))
    if not local and not on_cluster:
        raise DevError(
            f"No test in {', '.join((*LOCAL, *ON_CLUSTER))} is picked by ARGS={' '.join(arguments)!r}."
            " `-k` takes a part of the name of a test, its file or its folder."
        )
    steps: list[list[str]] = []
    if local:
        steps.append(["pytest", *LOCAL, *arguments])
    if on_cluster:
        steps += [["tunewright_dev", command] for command in INSTALL]
        steps.append(["pytest", *ON_CLUSTER, *arguments])
    return next((code for code in map(run, steps) if code != 0), 0)


def has_tests(folders: Sequence[str], arguments: Sequence[str], collect: Run) -> bool:
    """Return whether pytest picks a test in the folders.

    Raises:
        DevError: it could not tell: wrong arguments, or a file that cannot be imported.
    """
    code = collect(["pytest", *folders, "--collect-only", "--quiet", *arguments])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise DevError(f"pytest could not collect the tests in {', '.join(folders)}; what it said is above.")
    return code == pytest.ExitCode.OK


def _collect(arguments: Sequence[str]) -> int:
    done = _start(arguments, stdout=subprocess.PIPE)
    # The names of all picked tests are of no interest, only what kept pytest from finding them.
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        console.say(done.stdout)
    return done.returncode


def _run(arguments: Sequence[str]) -> int:
    return _start(arguments).returncode


def _start(arguments: Sequence[str], stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", *arguments]
    return subprocess.run(argv, cwd=find_paths().clone, stdout=stdout, text=True, check=False)


def main() -> int:
    """Run what the command line picks."""
    try:
        return run_picked(sys.argv[1:], collect=_collect, run=_run)
    except DevError as error:
        console.warn(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
