"""Times as documents have them."""

from __future__ import annotations

import datetime as dt


def format_time(moment: dt.datetime) -> str:
    """Return a moment as RFC 3339 in UTC with whole seconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_now() -> str:
    """Return the present moment, see `format_time`."""
    return format_time(dt.datetime.now(dt.UTC))
