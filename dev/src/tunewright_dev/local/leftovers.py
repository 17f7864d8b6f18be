"""What of the local cluster is still on the machine: `down` looks before it says that the cluster is gone."""

from __future__ import annotations

import time
from pathlib import Path

from tunewright_dev.errors import DevError
from tunewright_dev.local import cgroups, firewall, mounts, network, processes
from tunewright_dev.paths import Paths

# Processes that were killed, and control groups and mounts with them, are taken apart by the kernel by and by.
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.2


def find(paths: Paths) -> list[str]:
    """Return what is left, one phrase each.

    Network namespaces are among the mounts: containerd keeps them below the run folder.
    """
    folders = [paths.run, paths.state]
    points = mounts.find_mounts(Path("/proc/self/mountinfo").read_text(), folders)
    return [
        *(f"process {one.pid} ({one.name})" for one in processes.find_marked()),
        *(f"control group {group}" for group in cgroups.find_groups()),
        *(f"mount {point}" for point in points),
        *(f"interface {name}" for name in network.find_interfaces()),
        *firewall.find_chains(),
    ]


def require_none(paths: Paths) -> None:
    """Refuse to call the cluster gone while something of it is left.

    Raises:
        DevError: with everything that is left.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := find(paths):
        if time.monotonic() > deadline:
            lines = [f"  - {one}" for one in left]
            raise DevError("\n".join(["These are left of the local cluster:", *lines, "`make down` tries again."]))
        time.sleep(_POLL_SECONDS)
