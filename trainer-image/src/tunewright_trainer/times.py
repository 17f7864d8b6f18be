"""The current time in the format of the contracts."""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.times import format_time


def format_now() -> str:
    """Return the current time as RFC 3339 in UTC with whole seconds."""
    return format_time(dt.datetime.now(dt.UTC))
