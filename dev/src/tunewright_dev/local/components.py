"""The components of the local cluster: start, readiness, end and log.

A frozen specification describes a component. Its start is level-triggered: a component that runs with the same
specification is not changed, one with another specification is replaced. So `up` can run at any time, from any clone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tunewright_dev import hashing, waiting
from tunewright_dev.commands import tail
from tunewright_dev.errors import DevError
from tunewright_dev.local import processes
from tunewright_dev.paths import Paths

READY_SECONDS = 90.0
# The API server would wait much longer for its watches to end, but its state is deleted anyway.
STOP_SECONDS = 3.0
# Components do not get other variables of our environment, such as tokens and proxies.
INHERITED_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")


@dataclasses.dataclass(frozen=True)
class Component:
    """One daemon: how to start it, the files that it reads at its start, and how to check that it is ready."""

    name: str
    argv: tuple[str, ...]
    is_ready: Callable[[], bool]
    files: tuple[Path, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def spec(self) -> str:
        """Return the hash of everything that would be different after a restart."""
        parameters = {"argv": "\0".join(self.argv)} | {f"env {key}": value for key, value in self.environment.items()}
        return hashing.hash_inputs(parameters, [(str(path), path) for path in self.files])


def log_path(paths: Paths, name: str) -> Path:
    """Return the file of the component's output."""
    return paths.logs / f"{name}.log"


def pid_path(paths: Paths, name: str) -> Path:
    """Return the file with the component's PID."""
    return paths.records / f"{name}.pid"


def find(paths: Paths, name: str) -> processes.Process | None:
    """Return the component's process if it runs."""
    return processes.find(name, pid_path(paths, name))


def start(paths: Paths, component: Component) -> bool:
    """Make the component run with its current specification; return whether it was started or restarted."""
    running = find(paths, component.name)
    spec = component.spec()
    if running is not None:
        if running.spec == spec:
            return False
        processes.stop(running)
    inherited = {key: os.environ[key] for key in INHERITED_VARIABLES if key in os.environ}
    processes.start(
        component.name,
        component.argv,
        spec=spec,
        log=log_path(paths, component.name),
        pid_file=pid_path(paths, component.name),
        environment={**inherited, **component.environment},
    )
    return True


def wait_ready(paths: Paths, component: Component) -> None:
    """Wait until the component is ready.

    Raises:
        DevError: it died or did not become ready; the message names its log and shows its end.
    """

    def ready_or_dead() -> bool:
        # Readiness first: a successful probe proves more than a PID file, which the launcher may not have written yet.
        if component.is_ready():
            return True
        pid_file = pid_path(paths, component.name)
        if pid_file.exists() and not processes.is_running(int(pid_file.read_text())):
            raise DevError(f"{component.name} died while it started. {explain(paths, component.name)}")
        return False

    waiting.wait_for(
        f"{component.name} to become ready",
        ready_or_dead,
        timeout=READY_SECONDS,
        explain=lambda: explain(paths, component.name),
    )


def explain(paths: Paths, name: str) -> str:
    """Return a sentence that names the component's log, with the end of the log."""
    log = log_path(paths, name)
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"Its log is {log} and ends with:\n{tail(text)}"


def stop_all(paths: Paths, names: Sequence[str]) -> None:
    """Stop the running components, all at the same time, and delete their PID files."""
    processes.stop(*filter(None, [find(paths, name) for name in names]), patience=STOP_SECONDS)
    for name in names:
        pid_path(paths, name).unlink(missing_ok=True)
