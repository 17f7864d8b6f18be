"""Estimate the speed and the end of training from the times at which steps ended."""

from __future__ import annotations

import collections
import datetime as dt
from typing import Any

from tunewright_contracts.times import format_time

_WINDOW = 20


class Pace:
    """Mean speed over the last 20 steps."""

    def __init__(self, total_steps: int) -> None:
        self._total_steps = total_steps
        self._marks: collections.deque[tuple[int, int, float]] = collections.deque(maxlen=_WINDOW + 1)

    def record(self, step: int, tokens: int, seconds: float) -> None:
        """Record the end of a step: ``tokens`` read so far, at ``seconds`` of a monotonic clock."""
        self._marks.append((step, tokens, seconds))

    def skip(self, seconds: float) -> None:
        """Exclude a pause (validation, a checkpoint) from the speed."""
        self._marks = collections.deque(
            ((step, tokens, moment + seconds) for step, tokens, moment in self._marks), maxlen=_WINDOW + 1
        )

    def estimate(self, now: dt.datetime) -> dict[str, Any]:
        """Return ``tokens_per_second`` and ``estimated_finish`` for `Progress`; empty before two steps have ended."""
        if len(self._marks) < 2:
            return {}
        (first_step, first_tokens, start), (step, tokens, end) = self._marks[0], self._marks[-1]
        elapsed = end - start
        if elapsed <= 0 or step <= first_step:
            return {}
        left = (self._total_steps - step) * elapsed / (step - first_step)
        return {
            "tokens_per_second": round((tokens - first_tokens) / elapsed, 1),
            "estimated_finish": format_time(now + dt.timedelta(seconds=left)),
        }
