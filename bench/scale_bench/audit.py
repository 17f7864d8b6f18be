"""Count an operator's API calls with the API server's audit log."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import orjson

LAG_SECONDS = 2.0
"""The API server writes a request into the log within this time."""


class AuditLog:
    """The audit log of one API server; each line is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._calls: dict[str, list[tuple[dt.datetime, str]]] = {}

    def count(self, user: str, start: dt.datetime, end: dt.datetime) -> Counter[str]:
        """Return how many requests of a user arrived in a time, by ``<verb> <resource>[/<subresource>]``.

        Call it `LAG_SECONDS` after the end.
        """
        self._read()
        return Counter(what for when, what in self._calls.get(user, ()) if start <= when < end)

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                event = orjson.loads(line)
                when = dt.datetime.fromisoformat(event["requestReceivedTimestamp"])
                self._calls.setdefault(event["user"]["username"], []).append((when, _describe(event)))


def _describe(event: dict[str, dict[str, str]]) -> str:
    reference = event.get("objectRef") or {}
    names = [name for name in (reference.get("resource"), reference.get("subresource")) if name]
    return f"{event['verb']} {'/'.join(names) or event['requestURI']}"


def group_by_verb(calls: Counter[str]) -> Counter[str]:
    """Return the calls by verb only."""
    grouped: Counter[str] = Counter()
    for what, number in calls.items():
        grouped[what.partition(" ")[0]] += number
    return grouped


def divide(calls: Counter[str], by: float) -> dict[str, float]:
    """Return each number divided by another one, sorted by name, without what is rounded to zero."""
    shares = {what: round(number / by, 2) for what, number in sorted(calls.items())}
    return {what: share for what, share in shares.items() if share}


def sum_all(windows: Iterable[Counter[str]]) -> Counter[str]:
    """Return the sum of several counts."""
    total: Counter[str] = Counter()
    for window in windows:
        total += window
    return total
