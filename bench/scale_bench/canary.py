"""How long a new resource waits for its child while the operator has other work."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

from scale_bench.api import Api, Body
from scale_bench.children import Children
from scale_bench.objects import CANARY, build_job

INTERVAL_SECONDS = 0.2
LAST_SECONDS = 60.0
"""How long the last canaries may wait for their child; those without one count with this wait."""


class Phase(StrEnum):
    """What the operator has to do when a canary is created."""

    STARTING = "starting"
    """It leads and does not know all resources yet."""
    LISTING = "listing"
    """It knows all resources, and not all of them were reconciled once."""
    BACKLOG = "backlog"
    """Many new resources wait for their child."""
    IDLE = "idle"


@dataclasses.dataclass(frozen=True)
class Canary:
    """A created job."""

    name: str
    phase: Phase
    created: float


class Canaries:
    """Creates a job several times a second, and records when its child appears."""

    def __init__(self, api: Api, children: Children) -> None:
        self._api = api
        self._children = children
        self._created: list[Canary] = []
        self._phase = Phase.IDLE
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def flying(self, phase: Phase) -> AsyncIterator[None]:
        """Create canaries while the block runs, and wait for their children after it."""
        self.enter(phase)
        task = asyncio.create_task(self._create())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        deadline = time.monotonic() + LAST_SECONDS
        while self._misses_child() and time.monotonic() < deadline:  # noqa: ASYNC110 - not for longer than this
            await asyncio.sleep(INTERVAL_SECONDS)

    def enter(self, phase: Phase) -> None:
        """Begin another phase: it counts for the canaries that are created from now on."""
        self._phase = phase

    @property
    def number(self) -> int:
        """How many canaries were created so far."""
        return len(self._created)

    def waits(self, *phases: Phase) -> list[float]:
        """Return the seconds from the creation of each canary of these phases to its child, sorted."""
        appeared, now = self._children.appeared, time.monotonic()
        return sorted(
            max(0.0, appeared.get((CANARY, canary.name), now) - canary.created)
            for canary in self._created
            if canary.phase in phases
        )

    async def _create(self) -> None:
        path = f"/apis/tunewright.dev/v1alpha1/namespaces/{CANARY}/finetunejobs"
        while True:
            # The request of the last canary of a flight may be cancelled after it took effect.
            name, phase = f"canary-{next(self._numbers):05d}", self._phase
            await self._api.create(path, build_job(name, CANARY))
            self._created.append(Canary(name, phase, time.monotonic()))
            await asyncio.sleep(INTERVAL_SECONDS)

    def _misses_child(self) -> bool:
        return any((CANARY, canary.name) not in self._children.appeared for canary in self._created)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile of sorted values, by the nearest rank; None without values."""
    if not values:
        return None
    return round(values[max(0, -(-len(values) * percent // 100) - 1)], 3)


def summarize(waits: Sequence[float]) -> Body:
    """Return the number of waits and what they were, in seconds."""
    return {"canaries": len(waits), "p50Seconds": percentile(waits, 50), "p99Seconds": percentile(waits, 99)}
