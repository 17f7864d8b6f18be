"""Times as the Kubernetes API writes them: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

import datetime as dt


def format_time(moment: dt.datetime) -> str:
    """Return ``2026-01-31T12:00:00Z``."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> dt.datetime:
    """Read a time of the API.

    Raises:
        ValueError: it is no RFC 3339 time.
    """
    return dt.datetime.fromisoformat(text)


def seconds_since(text: str, now: dt.datetime) -> float:
    """Return how many seconds ago a time of the API was."""
    return (now - parse_time(text)).total_seconds()
