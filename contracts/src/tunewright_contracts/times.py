"""The format of times in the Kubernetes API and in all documents: RFC 3339 in UTC with whole seconds."""

from __future__ import annotations

import datetime as dt


def format_time(moment: dt.datetime) -> str:
    """Return a time as text, such as ``2026-01-31T12:00:00Z``."""
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")[:-6] + "Z"  # strftime takes ten times as long.
