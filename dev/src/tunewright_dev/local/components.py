"""The components of the local cluster as a person meets them: started, healthy, dead, with a log.

A component is described by a frozen specification. Bringing it up is level-triggered: one that runs with the same
specification is left alone, one with another is replaced, so that `up` may run at any time and from any clone.
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
# The API server would wait for its watchers far longer; what it knows is thrown away anyway.
STOP_SECONDS = 3.0
# Everything else in our environment (tokens of the shell, proxies) is none of a component's business.
INHERITED_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")


@dataclasses.dataclass(frozen=True)
class Component:
    """One daemon: how it starts, the files that it reads at its start, and how it shows that it is ready."""

    name: str
    argv: tuple[str, ...]
    is_ready: Callable[[], bool]
    files: tuple[Path, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def spec(self) -> str:
        """Return the hash of everything that a restart would change."""
        parameters = {"argv": "\0".join(self.argv)} | {f"env {key}": value for key, value in self.environment.items()}
        return hashing.hash_inputs(parameters, [(str(path), path) for path in self.files])


def log_path(paths: Paths, name: str) -> Path:
    """Return where the component's output goes."""
    return paths.logs / f"{name}.log"


def pid_path(paths: Paths, name: str) -> Path:
    """Return where the component's pid is kept."""
    return paths.records / f"{name}.pid"


def find(paths: Paths, name: str) -> processes.Process | None:
    """Return the component's process if it runs."""
    return processes.find(name, pid_path(paths, name))


def start(paths: Paths, component: Component) -> bool:
    """Make the component run with its present specification; return whether it had to be (re)started."""
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
        # Readiness first: a probe that passes proves more than a pid file, which the launcher may still be writing.
        if component.is_ready():
            return True
        pid_file = pid_path(paths, component.name)
        if pid_file.exists() and not processes.is_running(int(pid_file.read_text())):
            raise DevError(f"{component.name} died while it started. {explain(paths, component.name)}")
        return False

    waiting.wait_for(
        f"{component.name} becoming ready",
        ready_or_dead,
        timeout=READY_SECONDS,
        explain=lambda: explain(paths, component.name),
    )


def explain(paths: Paths, name: str) -> str:
    """Return the sentence that names the component's log, with the log's end."""
    log = log_path(paths, name)
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"Its log is {log} and ends with:\n{tail(text)}"


def stop_all(paths: Paths, names: Sequence[str]) -> None:
    """End those of the components that run, all at once, and forget their pids."""
    processes.stop(*filter(None, [find(paths, name) for name in names]), patience=STOP_SECONDS)
    for name in names:
        pid_path(paths, name).unlink(missing_ok=True)
