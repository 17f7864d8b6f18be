"""Find what is left of the local cluster: `down` checks this before it reports that the cluster is removed."""

from __future__ import annotations

import time
from pathlib import Path

from tunewright_dev.errors import DevError
from tunewright_dev.local import cgroups, firewall, mounts, network, processes
from tunewright_dev.paths import Paths

# The kernel needs some time to remove killed processes with their control groups and mounts.
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.2


def find(paths: Paths) -> list[str]:
    """Return what is left, one phrase each.

    Network namespaces are mounts, too: containerd has them below the run folder.
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
    """Check that nothing is left of the cluster.

    Raises:
        DevError: something is left; the message lists all of it.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := find(paths):
        if time.monotonic() > deadline:
            lines = [f"  - {one}" for one in left]
            raise DevError("\n".join(["Parts of the local cluster are left:", *lines, "`make down` tries again."]))
        time.sleep(_POLL_SECONDS)
