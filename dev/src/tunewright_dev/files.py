"""Write files so that a reader never sees half of one, and none is touched for nothing."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Make `path` hold `text` with `mode`; a file that does already is left alone.

    Not for neatness: kube-proxy ends itself when its configuration is written, equal or not.
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
