"""What the program tells the person who runs it.

One line when something begins that may take long, one each half minute that it goes on, one when it ends with its time,
and where there is one, the command by which a person sees the same; nothing for what was already there.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Print one line at once, so that a pipe shows it when it happens."""
    print(message, flush=True)


def warn(message: str) -> None:
    """Print one line to standard error."""
    print(message, file=sys.stderr, flush=True)


HEARTBEAT_SECONDS = 30.0


@contextmanager
def step(title: str, command: str = "") -> Iterator[None]:
    """Announce `title`, run the block, and say how long it took and the `command` that shows what is there now."""
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
    """Show a step that goes on beside others until `wait` returns; the thread that shows it ends then."""

    def show() -> None:
        with step(title):
            wait()

    shown = threading.Thread(target=show, name=title, daemon=True)
    shown.start()
    return shown
