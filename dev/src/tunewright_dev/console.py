"""The program's output for its user.

A step that may take long has a line when it starts, a line every 30 seconds, and a line with its duration when it ends.
If there is a command that shows the result, it is printed, too. What already exists causes no output.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Print one line immediately, also to a pipe."""
    print(message, flush=True)


def warn(message: str) -> None:
    """Print one line to standard error."""
    print(message, file=sys.stderr, flush=True)


HEARTBEAT_SECONDS = 30.0


@contextmanager
def step(title: str, command: str = "") -> Iterator[None]:
    """Print `title`, run the block, and print its duration and the `command` that shows the result."""
    say(f"  {title} …")
    started = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            say(f"  {title}: {time.monotonic() - started:.0f} s so far …")

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
    say(f"  {title}: {time.monotonic() - started:.1f} s")
    if command:
        say(f"    $ {command}")


def follow(title: str, wait: Callable[[], object]) -> threading.Thread:
    """Show a step that runs in parallel with others until `wait` returns; then the returned thread ends."""

    def show() -> None:
        with step(title):
            wait()

    shown = threading.Thread(target=show, name=title, daemon=True)
    shown.start()
    return shown
