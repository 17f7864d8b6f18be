"""The client's own limit of requests, so that a busy operator leaves room for the API server's other clients."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable

from tunewright_operator.kubernetes_api import metrics


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests a second on average, and how many may be sent at once after a quiet time."""

    per_second: float
    burst: int


class TokenBucket:
    """A token bucket: callers that find it empty wait in the order of their calls.

    A caller takes its token at once, also when there is none, and then waits until it exists. So no queue is needed,
    and no caller can be overtaken.
    """

    def __init__(
        self,
        limit: RateLimit,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limit = limit
        self._now = now
        self._sleep = sleep
        self._tokens = float(limit.burst)
        self._at = now()

    async def acquire(self) -> None:
        """Wait until a request may be sent."""
        self._refill()
        self._tokens -= 1
        if self._tokens >= 0:
            return
        seconds = -self._tokens / self._limit.per_second
        metrics.THROTTLED_SECONDS.inc(seconds)
        try:
            await self._sleep(seconds)
        except BaseException:
            self._tokens += 1  # The request is not sent.
            raise

    def _refill(self) -> None:
        now = self._now()
        self._tokens = min(self._limit.burst, self._tokens + (now - self._at) * self._limit.per_second)
        self._at = now
