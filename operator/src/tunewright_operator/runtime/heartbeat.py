"""The heartbeat of an event loop: other threads see whether it still runs its tasks."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback

from tunewright_operator.runtime import metrics

BEAT_SECONDS = 1.0


class Heartbeat:
    """A timer of an event loop. If the loop is blocked or busy, the timer is late, and the heartbeat's age grows."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._thread = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the heartbeat of the running loop."""
        self._thread = threading.get_ident()
        self._last = time.monotonic()
        self._set_timer(asyncio.get_running_loop())

    def stop(self) -> None:
        """Stop the heartbeat; its loop calls this."""
        if self._timer is not None:
            self._timer.cancel()

    def age(self) -> float:
        """Return the seconds since the last beat."""
        return time.monotonic() - self._last

    def format_stack(self) -> str:
        """Return what the loop's thread executes now, as in a traceback."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - the documented way to see another thread
        return "".join(traceback.format_stack(frame)) if frame is not None else "the thread has ended"

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        metrics.LOOP_LAG.observe(max(0.0, self.age() - BEAT_SECONDS))
        self._last = time.monotonic()
        self._set_timer(loop)
