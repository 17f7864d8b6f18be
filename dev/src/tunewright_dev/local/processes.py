"""Long-running processes that outlive this program, and the proof that one is ours before it is signalled.

A pid file alone proves nothing: pids are used again. So each process carries its name, its executable and the hash of
its specification in its environment, which the kernel shows in /proc; a pid counts as ours only when all that fits.
The pid file is written by the process itself before it becomes the component, so that an interruption between start
and record loses none.
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
    """A running process of ours."""

    pid: int
    name: str
    spec: str


def start(
    name: str, argv: Sequence[str], *, spec: str, log: Path, pid_file: Path, environment: Mapping[str, str]
) -> None:
    """Start `argv` in a session of its own with its output in `log` and its pid in `pid_file`.

    The log of the run before is kept beside it as `<log>.1`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    # What it names is gone; left there, it would be taken for this one's until the launcher has written its own.
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
    """Return the process that `pid_file` names if it runs and is the component `name`, else None."""
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
    """Yield every process that carries our mark: components, and the container shims that containerd left behind."""
    for folder in proc.iterdir():
        if folder.name.isdigit():
            environment = read_environment(int(folder.name), proc)
            if NAME_VARIABLE in environment and EXECUTABLE_VARIABLE in environment:
                yield Process(int(folder.name), environment[NAME_VARIABLE], environment.get(SPEC_VARIABLE, ""))


def read_environment(pid: int, proc: Path = Path("/proc")) -> dict[str, str]:
    """Return the environment that a process was started with; empty for one that is gone or a zombie."""
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def read_executable(pid: int, proc: Path = Path("/proc")) -> str:
    """Return the path of a process's executable; empty for one that is gone or a zombie."""
    try:
        # The kernel marks an executable that was since replaced: the process is still ours.
        return os.readlink(proc / str(pid) / "exe").removesuffix(" (deleted)")  # noqa: PTH115
    except OSError:
        return ""


def stop(*targets: Process, patience: float = TERMINATE_SECONDS) -> None:
    """End processes together: first politely, after `patience` seconds by force. Returns when all are gone."""
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
    """Return whether a process exists and is more than a zombie; reaps it when it is our child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
