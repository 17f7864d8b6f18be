"""Find and remove the mounts below our folders."""

from __future__ import annotations

import re
from pathlib import Path

from tunewright_dev import commands

_OCTAL = re.compile(r"\\([0-7]{3})")


def find_mounts(table: str, folders: list[Path]) -> list[Path]:
    r"""Return the mount points below `folders`, the latest first, but not the folders themselves.

    Args:
        table: the content of /proc/self/mountinfo (proc(5)), where a space in a path is written `\040`.
        folders: absolute paths.
    """
    points = [Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), line.split()[4])) for line in table.splitlines()]
    return [point for point in reversed(points) if any(folder in point.parents for folder in folders)]


def unmount_all(folders: list[Path]) -> None:
    """Unmount everything below `folders`."""
    for point in find_mounts(Path("/proc/self/mountinfo").read_text(), folders):
        # Lazily, because a process that is about to end may still use it.
        commands.capture(["umount", "--lazy", "--no-canonicalize", point])
