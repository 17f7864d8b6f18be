"""Read times of the Kubernetes API: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

import datetime as dt


def parse_time(text: str) -> dt.datetime:
    """Return the time that a text of the API stands for.

    Raises:
        ValueError: the text is not an RFC 3339 time.
    """
    return dt.datetime.fromisoformat(text)


def seconds_since(text: str, now: dt.datetime) -> float:
    """Return the seconds from a time of the API until now."""
    return (now - parse_time(text)).total_seconds()
