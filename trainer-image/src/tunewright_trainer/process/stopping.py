"""Handle SIGTERM: interrupt work that can be repeated, and end training with a checkpoint.

Kubernetes sends SIGTERM when a job is suspended, preempted or past its deadline. Fetching and scoring can be
interrupted anywhere, because the next attempt repeats them. Training ends after the current step, with a checkpoint.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequestedError(BaseException):
    """SIGTERM arrived during work that can be interrupted.

    Like KeyboardInterrupt, it is not an `Exception`: an ``except Exception`` in a library must not catch it.
    """


class Stopper:
    """Record whether this process was asked to stop."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._interruptible = False

    def install(self) -> None:
        """Handle SIGTERM from now on; main thread only."""
        signal.signal(signal.SIGTERM, self._handle)

    @property
    def requested(self) -> bool:
        """Return whether SIGTERM has arrived."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask this process to stop."""
        self._requested.set()

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds, or until a stop is requested; return whether it is."""
        return self._requested.wait(seconds)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let SIGTERM interrupt this block.

        Raises:
            StopRequestedError: anywhere in the main thread, or at the start of the block if SIGTERM arrived earlier.
        """
        self._interruptible = True
        try:
            if self.requested:
                raise StopRequestedError
            yield
        finally:
            self._interruptible = False

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        self.request()
        if self._interruptible:
            # Raise once only: a second SIGTERM must not interrupt the report about the first.
            self._interruptible = False
            raise StopRequestedError
