"""Keep two runs of this program, from any clones, from changing the same thing at the same time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunewright_dev import console

# The kernel releases a lock when its holder ends for any reason; the files have no meaning.
_FOLDER = Path("/run/lock")


@contextmanager
def exclusive(what: str) -> Iterator[None]:
    """Hold the machine's lock on `what`; print a line if another run holds it.

    Args:
        what: "cluster", "images", "binaries" or "artefacts".
    """
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / f"tunewright-{what}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(f"  another run holds the lock on {what}; waiting for it to end …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
