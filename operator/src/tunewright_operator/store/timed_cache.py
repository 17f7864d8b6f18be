"""A read-through cache of small facts that no watch reports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tunewright_operator.runtime.clock import Now

V = TypeVar("V")

MAX_ENTRIES = 10_000


class TimedCache(Generic[V]):
    """Values by key, each with the time at which it was read."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._values: dict[Hashable, tuple[dt.datetime, V]] = {}

    async def get(self, key: Hashable, max_age: Callable[[V], float], read: Callable[[], Awaitable[V]]) -> V:
        """Return a value that is younger than ``max_age`` seconds, which may depend on it; read it otherwise."""
        found = self._values.get(key)
        if found is not None and (self._now() - found[0]).total_seconds() < max_age(found[1]):
            return found[1]
        began = self._now()
        value = await read()
        if len(self._values) >= MAX_ENTRIES:
            self._values.clear()
        self._values[key] = (began, value)
        return value
