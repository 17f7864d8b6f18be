"""The clock as a parameter, so that tests can set the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

Now = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return the current time."""
    return dt.datetime.now(dt.UTC)
