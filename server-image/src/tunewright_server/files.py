"""Small files: write them atomically, and notice when another process replaced one."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int]
"""Inode, modification time and size. The kubelet replaces a mounted file with a new one of the same name."""


def read_stamp(path: Path) -> Stamp:
    """Return a value that changes when the file is replaced or written.

    Raises:
        OSError: the file does not exist.
    """
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it has either the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
