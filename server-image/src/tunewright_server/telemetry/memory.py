"""The peak memory use of the pod's processes."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def read_peak_mebibytes() -> int | None:
    """Return the summed peak resident memory (VmHWM) of this process and its descendants, in MiB, or None.

    The sum counts shared pages more than once; the peak of the control group would include the page cache.
    """
    own = os.getpid()
    parents: dict[int, int] = {}
    peaks: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
            process = int(path.parent.name)
            parents[process] = int(fields["PPid"])
            peaks[process] = int(fields["VmHWM"].split()[0])
        except (OSError, KeyError, ValueError):
            continue  # it ended, or it is a kernel thread
    if own not in peaks:
        return None
    return sum(peak for process, peak in peaks.items() if _descends_from(process, own, parents)) // 1024


def _descends_from(process: int, ancestor: int, parents: dict[int, int]) -> bool:
    seen: set[int] = set()
    while process and process not in seen:
        if process == ancestor:
            return True
        seen.add(process)
        process = parents.get(process, 0)
    return False
