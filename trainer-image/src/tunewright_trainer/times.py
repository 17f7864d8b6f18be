"""The present moment, as documents have it."""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.times import format_time


def format_now() -> str:
    """Return the present moment as RFC 3339 in UTC with whole seconds."""
    return format_time(dt.datetime.now(dt.UTC))
