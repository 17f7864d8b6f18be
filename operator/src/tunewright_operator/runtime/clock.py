"""The clock as a parameter, so that tests can set the time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

Now = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the current time."""
    return dt.datetime.now(dt.UTC)


def seconds_since_boot() -> float:
    """Return the seconds since the machine started.

    They include the time for which it was suspended, in which other machines continued. `time.monotonic` leaves it
    out. No change of the date affects them.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
