"""Which adapters get one of the server's slots.

vLLM holds ``maxAdapters + rolloutSlots`` adapters (``max_cpu_loras``); a registered adapter that it evicts may kill its
engine, so a plan never names more. `maxAdapters` counts aliases. Slots are granted in the order routed, draining,
candidate, new: nothing that serves is ever evicted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from enum import IntEnum


class Standing(IntEnum):
    """How firmly an adapter holds its slot; the lowest is served first."""

    ROUTED = 0
    """Answers clients, or did when the last plan was written, or is what a rollback would return to."""
    DRAINING = 1
    LOADED_CANDIDATE = 2
    CANDIDATE = 3
    """The next revision of an alias that has one."""
    NEW = 4
    """The first revision of an alias."""


@dataclasses.dataclass(frozen=True)
class SlotRequest:
    """One adapter's wish; ``order`` decides between equal standings."""

    name: str
    standing: Standing
    order: tuple[str, ...] = ()


def grant_slots(requests: Iterable[SlotRequest], capacity: int) -> frozenset[str]:
    """Return the names that get a slot. Routed and draining ones always do: they are in the servers already."""
    granted: set[str] = set()
    for request in sorted(requests, key=lambda request: (request.standing, request.order, request.name)):
        if request.name in granted:
            continue
        if request.standing <= Standing.DRAINING or len(granted) < capacity:
            granted.add(request.name)
    return frozenset(granted)


def admit_aliases(known: Sequence[str], new: Sequence[str], max_adapters: int) -> frozenset[str]:
    """Return the aliases that are served: those of the last plan, then new ones in order while there is room."""
    room = max(0, max_adapters - len(known))
    return frozenset([*known, *new[:room]])
