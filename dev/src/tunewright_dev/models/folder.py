"""Write a model folder so that a reader sees all of it or none of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

FILE_MODE = 0o644
FOLDER_MODE = 0o755


def publish_folder(out: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a fresh folder, open its files to every user, and put it in the place of ``out``.

    ``save_pretrained`` leaves weights with mode 0600, which a pod that runs under another user cannot read. When
    ``write`` raises, ``out`` is as it was.
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
