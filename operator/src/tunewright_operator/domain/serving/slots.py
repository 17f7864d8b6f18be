"""Which adapters get a slot of the server.

vLLM holds ``maxAdapters + rolloutSlots`` adapters (``max_cpu_loras``). If vLLM evicts a registered adapter, its engine
may stop, so a plan never names more adapters than that. `maxAdapters` counts aliases. Slots are granted in the order
routed, draining, candidate, new, so that no adapter that serves clients is evicted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from enum import IntEnum


class Standing(IntEnum):
    """The priority of an adapter for a slot; the lowest value gets its slot first."""

    ROUTED = 0
    """It answers clients, or the last plan routes to it, or a rollback would return to it."""
    DRAINING = 1
    LOADED_CANDIDATE = 2
    CANDIDATE = 3
    """The next revision of an alias that has one."""
    NEW = 4
    """The first revision of an alias."""


@dataclasses.dataclass(frozen=True)
class SlotRequest:
    """An adapter's request for a slot; ``order`` decides between equal standings."""

    name: str
    standing: Standing
    order: tuple[str, ...] = ()


def grant_slots(requests: Iterable[SlotRequest], capacity: int) -> frozenset[str]:
    """Return the names that get a slot. Routed and draining adapters always do, since the pods have loaded them."""
    granted: set[str] = set()
    for request in sorted(requests, key=lambda request: (request.standing, request.order, request.name)):
        if request.name in granted:
            continue
        if request.standing <= Standing.DRAINING or len(granted) < capacity:
            granted.add(request.name)
    return frozenset(granted)


def admit_aliases(known: Sequence[str], new: Sequence[str], max_adapters: int) -> frozenset[str]:
    """Return the aliases that are served: those of the last plan, then new ones in order as far as there is room."""
    room = max(0, max_adapters - len(known))
    return frozenset([*known, *new[:room]])
