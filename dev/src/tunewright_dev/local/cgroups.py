"""The processes and control groups of pods, as the kernel sees them.

The removal of a cluster must not depend on its API or on containerd: both may be dead. The kubelet puts all processes
of all pods into groups below `kubepods`, which no other program on the machine uses.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tunewright_dev import waiting
from tunewright_dev.local import processes

_ROOT = Path("/sys/fs/cgroup")
_GROUP = "kubepods"


def find_groups(root: Path = _ROOT) -> list[Path]:
    """Return the top groups of pods: one with cgroup v2, one per controller with v1."""
    return [path for path in (root / _GROUP, *sorted(root.glob(f"*/{_GROUP}"))) if path.is_dir()]


def kill_pods(root: Path = _ROOT) -> None:
    """Kill all processes of all pods and wait until they have ended.

    Raises:
        DevError: some have not ended.
    """
    pids = _find_pids(root)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    waiting.wait_for(
        "the end of the pods' processes",
        lambda: not any(processes.is_running(pid) for pid in pids),
        timeout=30,
        explain=lambda: f"Still running: {sorted(pid for pid in pids if processes.is_running(pid))}",
    )


def kill_container(container: str, root: Path = _ROOT) -> bool:
    """Kill all processes of a container, as a crash would; return whether it has any on this machine.

    ``container`` is the ID in the pod's status, without the name of the runtime.
    """
    listings = (listing for top in find_groups(root) for listing in top.rglob(f"*{container}*/cgroup.procs"))
    pids = {int(line) for listing in listings for line in listing.read_text().split()}
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def remove_groups(root: Path = _ROOT) -> None:
    """Remove the groups, the deepest first, and kill processes that shims have started in them since `kill_pods`.

    Raises:
        DevError: some cannot be removed.
    """
    busy: list[Path] = []

    def removed() -> bool:
        kill_pods(root)
        busy[:] = [folder for top in find_groups(root) for folder in _remove_tree(top)]
        return not busy

    waiting.wait_for(
        "the removal of the pods' control groups",
        removed,
        timeout=30,
        explain=lambda: f"Still in use: {', '.join(map(str, busy))}",
    )


def _remove_tree(top: Path) -> list[Path]:
    """Remove a group and those below it; return those that still have a process, which may be about to end."""
    busy = []
    for name, _, _ in os.walk(top, topdown=False):
        folder = Path(name)
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            busy.append(folder)
    return busy


def _find_pids(root: Path) -> set[int]:
    pids: set[int] = set()
    for top in find_groups(root):
        for listing in top.rglob("cgroup.procs"):
            with suppress(OSError):
                pids |= {int(line) for line in listing.read_text().split()}
    return pids
