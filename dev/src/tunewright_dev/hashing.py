"""Content hashes of build inputs: equal inputs give equal names, in every clone and at any time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

HASH_LENGTH = 16
IGNORED_NAMES = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"})


def list_files(root: Path) -> list[Path]:
    """Return the regular files at or below a path, sorted, without the caches of tools.

    Raises:
        FileNotFoundError: `root` does not exist.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise FileNotFoundError(root)
    return sorted(path for path in _walk(root) if path.is_file())


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in IGNORED_NAMES or path.suffix == ".pyc":
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def hash_inputs(parameters: Mapping[str, str], files: Iterable[tuple[str, Path]]) -> str:
    """Return 16 hex digits: the hash of the parameters and of each file's name, executable bit and content.

    Each field is hashed with its length, so that different inputs cannot give the same bytes.
    """
    digest = hashlib.sha256()

    def feed(*fields: bytes) -> None:
        for field in fields:
            digest.update(len(field).to_bytes(8, "big"))
            digest.update(field)

    for key in sorted(parameters):
        feed(b"parameter", key.encode(), parameters[key].encode())
    for name, path in sorted(files):
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        feed(b"file", name.encode(), executable, path.read_bytes())
    return digest.hexdigest()[:HASH_LENGTH]
