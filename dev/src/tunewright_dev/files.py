"""Write files atomically, and only if their content changes."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write `text` to `path` with `mode`, unless the file already has both.

    An unchanged file must not be written: kube-proxy exits when its configuration is written, changed or not.
    """
    if path.is_file() and path.stat().st_mode & 0o777 == mode and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.chmod(mode)
    scratch.rename(path)
