"""The processes and control groups of pods, as the kernel sees them.

Removing a cluster must not depend on its API, nor on containerd: both may be dead. The kubelet puts every process of
every pod under groups named `kubepods`, which nobody else on the machine uses.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tunewright_dev import processes, waiting

_ROOT = Path("/sys/fs/cgroup")
_GROUP = "kubepods"


def find_groups(root: Path = _ROOT) -> list[Path]:
    """Return the top groups of pods: one on cgroup v2, one for each controller on v1."""
    return [path for path in (root / _GROUP, *sorted(root.glob(f"*/{_GROUP}"))) if path.is_dir()]


def kill_pods() -> None:
    """Kill every process of every pod and wait until they are gone.

    Raises:
        DevError: some survive.
    """
    pids = _find_pids()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    waiting.wait_for(
        "The end of the pods' processes",
        lambda: not any(processes.is_running(pid) for pid in pids),
        timeout=30,
        explain=lambda: f"Still there: {sorted(pid for pid in pids if processes.is_running(pid))}",
    )


def remove_groups() -> None:
    """Remove the empty groups, the deepest first."""
    for top in find_groups():
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(FileNotFoundError):
                Path(folder).rmdir()


def _find_pids() -> set[int]:
    pids: set[int] = set()
    for top in find_groups():
        for listing in top.rglob("cgroup.procs"):
            with suppress(OSError):
                pids |= {int(line) for line in listing.read_text().split()}
    return pids
