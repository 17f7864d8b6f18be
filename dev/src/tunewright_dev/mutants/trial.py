"""Run a module's unit tests on a mutant, in a forked process that imports the mutant instead of the module."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.machinery
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest

PYTEST_ARGUMENTS = (
    "-x",
    "-q",
    "--hypothesis-profile=mutants",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
)
_MEMORY_BYTES = 8 * 1024**3
"""The limit of the address space, so that a mutant that allocates without end does not affect the machine."""
_POLL_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Trial:
    """A source and its tests, which must fail for a mutant, and pass without a change."""

    module: str
    path: Path
    source: str
    tests: tuple[str, ...]
    seconds: float
    """After this time the tests count as failed, so that endless loops are noticed, too."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a trial ended; `code` is pytest's exit code, or None if it ran out of time."""

    trial: Trial
    code: int | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Return whether no test failed."""
        return self.code == pytest.ExitCode.OK


def run_trials(trials: Sequence[Trial], jobs: int, report: Callable[[Ended], None]) -> list[Ended]:
    """Run trials, at most `jobs` at a time; return the results in the order of the trials."""
    waiting = list(enumerate(trials))
    running: dict[int, tuple[int, Trial, float]] = {}
    ended: dict[int, Ended] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number, trial = waiting.pop(0)
            running[_start(trial)] = (number, trial, time.monotonic())
        for process, (number, trial, started) in list(running.items()):
            seconds = time.monotonic() - started
            code = _poll(process)
            if code is None and seconds < trial.seconds:
                continue
            if code is None:
                _stop(process)
            del running[process]
            ended[number] = Ended(trial, code, seconds)
            report(ended[number])
        time.sleep(_POLL_SECONDS)
    return [ended[number] for number in range(len(trials))]


def _start(trial: Trial) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        os.setsid()  # the tests' child processes end with them
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        sys.meta_path.insert(0, _MutantFinder(trial))
        code = pytest.main([*PYTEST_ARGUMENTS, *trial.tests])
    finally:
        os._exit(code)


def _poll(process: int) -> int | None:
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _stop(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)


class _MutantFinder:
    """A finder in `sys.meta_path` for one module only."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return how to import the mutant, or None for any other module."""
        if name != self._trial.module:
            return None
        path = str(self._trial.path)
        return spec_from_file_location(name, path, loader=_MutantLoader(name, path, self._trial.source))


class _MutantLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, _name: str) -> CodeType:
        code: CodeType = compile(self._source, self.path, "exec", dont_inherit=True)
        return code


def preload(modules: Iterable[str]) -> None:
    """Import libraries before the first fork, so that the trials do not import them again."""
    for module in modules:
        with contextlib.suppress(ImportError):
            __import__(module)
