"""A read-through cache of small facts that no watch reports."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tunewright_operator.runtime.clock import Now

V = TypeVar("V")

MAX_ENTRIES = 10_000


class TimedCache(Generic[V]):
    """Values by key, each with the time at which it was read; a value is never read twice at the same time."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._values: dict[Hashable, tuple[dt.datetime, V]] = {}
        self._reading: dict[Hashable, asyncio.Future[None]] = {}

    async def get(self, key: Hashable, max_age: Callable[[V], float], read: Callable[[], Awaitable[V]]) -> V:
        """Return a value that is now younger than ``max_age`` seconds, which may depend on it; read it otherwise.

        A value from a time that has yet to come is read again: the clock was set back. An error of ``read`` is also
        raised to those who wait for the same value.
        """
        now = self._now()
        while True:
            found = self._values.get(key)
            # A value for which this call waited is a little younger than the call.
            if found is not None and abs((now - found[0]).total_seconds()) < max_age(found[1]):
                return found[1]
            reading = self._reading.get(key)
            if reading is None:
                return await self._read(key, read)
            await asyncio.shield(reading)

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[V]]) -> V:
        done = self._reading[key] = asyncio.get_running_loop().create_future()
        began = self._now()
        try:
            value = await read()
        except Exception as error:
            done.set_exception(error)
            done.exception()  # Otherwise asyncio would log it, if no other task waits for it.
            raise
        else:
            if len(self._values) >= MAX_ENTRIES:
                self._values.clear()
            self._values[key] = (began, value)
            return value
        finally:
            del self._reading[key]
            if not done.done():  # Read, or cancelled: then one of those who wait reads.
                done.set_result(None)
