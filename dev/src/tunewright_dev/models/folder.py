"""Write a model folder atomically: it exists with all of its files, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

FILE_MODE = 0o644
FOLDER_MODE = 0o755


def publish_folder(out: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a new folder, make its files readable for every user, and replace ``out`` with it.

    ``save_pretrained`` writes weights with mode 0600, which a pod of another user cannot read. If ``write`` raises,
    ``out`` does not change.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / out.name
        folder.mkdir()
        write(folder)
        folder.chmod(FOLDER_MODE)
        for path in folder.rglob("*"):
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
        shutil.rmtree(out, ignore_errors=True)
        folder.replace(out)
