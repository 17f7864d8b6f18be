"""How many questions an evaluation has in flight: more while the pool has free places, fewer when clients need them.

The limit is halved when a replica refuses a request, when requests wait in a replica, or when answers become slower.
After as many answers as it allows, it doubles until it was halved once; from then on it rises by one (slow start,
additive increase and multiplicative decrease: Jacobson 1988, "Congestion avoidance and control"). It never exceeds what
the replicas admit of evaluations, as they report it with each answer. Replicas refuse what exceeds it, so several
evaluations at the same time share it.
"""

from __future__ import annotations

import dataclasses

from tunewright_contracts.pool_load import PodLoad

FIRST_LIMIT = 4
LOAD_SECONDS = 30.0
"""A replica that gave no answer for this time is not counted: it may be gone."""
SLOWER = 2.0
"""The limit is halved if answers take this many times longer than at best: clients' answers do, too."""
FORGETTING = 1.01
"""The best speed is forgotten by this factor in each window, because it may have been that of an idle pool."""
SHORTEST_PAUSE_SECONDS = 1.0
UNKNOWN_LIMIT = 16
"""For a pool of an earlier release, whose replicas report no load."""


@dataclasses.dataclass
class _Window:
    """The answers since the limit last changed."""

    answers: int = 0
    seconds: float = 0.0
    tokens: int = 0

    @property
    def seconds_per_token(self) -> float:
        return self.seconds / max(1, self.tokens)


class Concurrency:
    """The limit on requests in flight; times are in seconds on any clock that does not go back."""

    def __init__(self, maximum: int) -> None:
        """Create a limit that never exceeds ``maximum``, whatever the replicas admit."""
        self._maximum = maximum
        self._wanted = min(FIRST_LIMIT, maximum)
        self._is_starting = True
        self._window = _Window()
        self._best: float | None = None
        self._answer_seconds = 0.0
        self._next_decrease = 0.0
        self._loads: dict[str, tuple[float, PodLoad]] = {}

    def begin_arm(self) -> None:
        """Forget how fast the last arm answered: the base model is faster than an adapter."""
        self._window, self._best = _Window(), None

    def limit(self, now: float) -> int:
        """Return how many requests may be in flight."""
        return max(1, min(self._wanted, self._admitted(now)))

    def note_answer(self, seconds: float, tokens: int, load: PodLoad | None, now: float) -> None:
        """Adapt to an answer: how long it took, how many tokens it has, and the replica's load after it."""
        self._note_load(load, now)
        self._answer_seconds = seconds
        if load is not None and load.waiting:
            self._decrease(now)
            return
        window = self._window
        window.answers += 1
        window.seconds += seconds
        window.tokens += tokens
        if window.answers >= self._wanted:
            self._end_window(window, now)

    def note_refusal(self, load: PodLoad | None, now: float) -> None:
        """Adapt to a request that a replica refused for its load."""
        self._note_load(load, now)
        self._decrease(now)

    def _end_window(self, window: _Window, now: float) -> None:
        pace = window.seconds_per_token
        best = pace if self._best is None else self._best * FORGETTING
        self._best = min(best, pace)
        if pace > SLOWER * best:
            self._decrease(now)
            return
        # Not above what is admitted: the limit would have to fall to it before a decrease has an effect.
        raised = self._wanted * 2 if self._is_starting else self._wanted + 1
        self._wanted = max(1, min(raised, self._maximum, self._admitted(now)))
        self._window = _Window()

    def _decrease(self, now: float) -> None:
        """Halve the limit, but not again before the answers to the requests in flight can show the effect."""
        self._window, self._is_starting = _Window(), False
        if now < self._next_decrease:
            return
        self._wanted = max(1, min(self._wanted, self._admitted(now)) // 2)
        self._next_decrease = now + max(SHORTEST_PAUSE_SECONDS, self._answer_seconds)

    def _note_load(self, load: PodLoad | None, now: float) -> None:
        if load is not None:
            self._loads[load.pod] = (now, load)

    def _admitted(self, now: float) -> int:
        """Return how many requests all replicas together admit, as far as they answered lately."""
        self._loads = {pod: item for pod, item in self._loads.items() if now - item[0] <= LOAD_SECONDS}
        if not self._loads:
            return min(self._maximum, UNKNOWN_LIMIT)
        return sum(load.limit for _, load in self._loads.values())
