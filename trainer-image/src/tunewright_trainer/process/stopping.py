"""SIGTERM: where work may be dropped it is dropped at once, where it may not the request waits.

Kubernetes sends SIGTERM when a job is suspended, preempted or over its deadline. Fetching and scoring may be broken
off anywhere, since they are done again; training ends after the running step, with a checkpoint.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequestedError(BaseException):
    """SIGTERM arrived where work may be dropped.

    Like KeyboardInterrupt no `Exception`: the ``except Exception`` of a library must not swallow it.
    """


class Stopper:
    """Knows whether this process was asked to stop."""

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
        """Wait so long, or less when a stop is requested; return whether it is."""
        return self._requested.wait(seconds)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let SIGTERM break off this block.

        Raises:
            StopRequestedError: from wherever the main thread is, or at the start when the request came earlier.
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
            # Once is enough: a second SIGTERM must not break the report of the first.
            self._interruptible = False
            raise StopRequestedError
