"""Reading times that the Kubernetes API wrote: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

import datetime as dt


def parse_time(text: str) -> dt.datetime:
    """Read a time of the API.

    Raises:
        ValueError: it is no RFC 3339 time.
    """
    return dt.datetime.fromisoformat(text)


def seconds_since(text: str, now: dt.datetime) -> float:
    """Return how many seconds ago a time of the API was."""
    return (now - parse_time(text)).total_seconds()
