"""Long-running processes that outlive this program, and the check that a process is ours before it gets a signal.

A PID file is not enough, because PIDs are reused. So each process has its name, its executable and the hash of its
specification in its environment, which the kernel shows in /proc. A PID is ours only if all of them match. The process
writes its PID file before it executes the component, so that an interruption does not lose a process.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

NAME_VARIABLE = "TUNEWRIGHT_COMPONENT"
EXECUTABLE_VARIABLE = "TUNEWRIGHT_EXECUTABLE"
SPEC_VARIABLE = "TUNEWRIGHT_SPEC"

TERMINATE_SECONDS = 10.0
_LAUNCHER = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclasses.dataclass(frozen=True)
class Process:
    """One of our running processes."""

    pid: int
    name: str
    spec: str


def start(
    name: str, argv: Sequence[str], *, spec: str, log: Path, pid_file: Path, environment: Mapping[str, str]
) -> None:
    """Start `argv` in a new session, with its output in `log` and its PID in `pid_file`.

    The log of the previous run is kept as `<log>.1`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    # The old PID file must not be taken for the new one before the launcher has written it.
    pid_file.unlink(missing_ok=True)
    marks = {NAME_VARIABLE: name, EXECUTABLE_VARIABLE: str(Path(argv[0]).resolve()), SPEC_VARIABLE: spec}
    with log.open("ab") as output:
        subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCHER, str(pid_file), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, **marks},
            start_new_session=True,
            cwd="/",
        )


def find(name: str, pid_file: Path, proc: Path = Path("/proc")) -> Process | None:
    """Return the process of `pid_file` if it runs and is the component `name`, otherwise None."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    environment = read_environment(pid, proc)
    if environment.get(NAME_VARIABLE) != name:
        return None
    if read_executable(pid, proc) != environment.get(EXECUTABLE_VARIABLE):
        return None
    return Process(pid=pid, name=name, spec=environment.get(SPEC_VARIABLE, ""))


def find_marked(proc: Path = Path("/proc")) -> Iterator[Process]:
    """Yield every process with our marks: components, and the container shims that containerd left behind."""
    for folder in proc.iterdir():
        if folder.name.isdigit():
            environment = read_environment(int(folder.name), proc)
            if NAME_VARIABLE in environment and EXECUTABLE_VARIABLE in environment:
                yield Process(int(folder.name), environment[NAME_VARIABLE], environment.get(SPEC_VARIABLE, ""))


def read_environment(pid: int, proc: Path = Path("/proc")) -> dict[str, str]:
    """Return the environment with which a process was started; empty if it has ended or is a zombie."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def read_executable(pid: int, proc: Path = Path("/proc")) -> str:
    """Return the path of a process's executable; empty if it has ended or is a zombie."""
    try:
        # The kernel marks an executable that was replaced since the start; the process is still ours.
        return os.readlink(proc / str(pid) / "exe").removesuffix(" (deleted)")  # noqa: PTH115
    except OSError:
        return ""


def stop(*targets: Process, patience: float = TERMINATE_SECONDS) -> None:
    """Stop processes together, with SIGTERM, and after `patience` seconds with SIGKILL; return when all have ended."""
    left = list(targets)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for target in left:
            with suppress(ProcessLookupError):
                os.kill(target.pid, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            left = [target for target in left if is_running(target.pid)]
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie; reap it if it is our child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
