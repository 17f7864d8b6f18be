"""Repeat calls to an unreachable store or hub, so that a short outage does not cost a job its GPU hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from tunewright_storage.errors import StorageError, StorageReason

log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
_LONGEST_WAIT_SECONDS = 30.0


class Patience:
    """Repeat a call while the other side is unreachable, with exponential waits of 1 to 30 s.

    Other failures are not retried: waiting does not correct a wrong credential.
    """

    def __init__(
        self, seconds: float, wait: Callable[[float], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the limits.

        Args:
            seconds: how long a call is repeated.
            wait: waits for some seconds and returns whether the process was asked to stop, which ends the retries.
            clock: returns the seconds of a monotonic clock.
        """
        self._seconds = seconds
        self._wait = wait
        self._clock = clock

    def repeat(self, call: Callable[[], _Result]) -> _Result:
        """Return the result of the call.

        Raises:
            StorageError: the other side stayed unreachable, or the call failed for another reason.
        """
        deadline = self._clock() + self._seconds
        delay = 1.0
        while True:
            try:
                return call()
            except StorageError as error:
                if error.reason is not StorageReason.UNREACHABLE or self._clock() + delay > deadline:
                    raise
                log.warning("storage_unreachable", seconds=delay, error=str(error))
                if self._wait(delay):
                    raise
            delay = min(delay * 2, _LONGEST_WAIT_SECONDS)
