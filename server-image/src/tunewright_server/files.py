"""Small files that this pod replaces, and that others replace under it: whole writes, and whether one changed."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int]
"""Inode, time of modification and size: the kubelet replaces a mounted file by another one of the same name."""


def read_stamp(path: Path) -> Stamp:
    """Return what differs after a file was replaced or written.

    Raises:
        OSError: there is no such file.
    """
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
