"""Turns: which of the keys that are ready is next.

Two rules share the workers. Both count turns and not seconds, so that they hold for a backlog of any size and age
(docs/adr/0012-turns-instead-of-ageing.md):

- Urgencies share the turns by weight: each has twice the weight of the next one, and one without keys leaves its turns
  to the others. This is self-clocked fair queueing (Golestani 1994): a virtual clock shows the tag of the urgency that
  had the last turn, and the urgency with the lowest tag has the next one.
- Inside an urgency, namespaces take turns with one key each.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Final

from tunewright_operator.runtime.key import Key, Urgency

STRIDES: Final = tuple(2**urgency for urgency in Urgency)
"""How far a turn advances the tag of its urgency: the inverse of its weight, in whole numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A key that is ready, with its urgency, and since when it has been ready with this urgency."""

    key: Key
    urgency: Urgency
    since: float


class Turns:
    """The keys that are ready. Each operation takes constant time, except `oldest`."""

    def __init__(self) -> None:
        self._places: dict[Key, Ready] = {}
        # An OrderedDict, because the first entry of a dict is found in constant time only until entries are deleted.
        self._rings = tuple(OrderedDict[str | None, OrderedDict[Key, None]]() for _ in Urgency)
        self._depths = [0 for _ in Urgency]
        self._clock = 0
        self._tags = [0 for _ in Urgency]
        """For each urgency, the tag of its next turn if it has keys, else that of its last turn."""

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def add(self, key: Key, urgency: Urgency, since: float) -> None:
        """Add a key at the end of its namespace. A key that waits already moves if it is more urgent now."""
        place = self._places.get(key)
        if place is not None:
            if place.urgency <= urgency:
                return
            self.remove(key)
        ring = self._rings[urgency]
        if not ring:
            self._tags[urgency] = max(self._tags[urgency], self._clock) + STRIDES[urgency]
        keys = ring.get(key.namespace)
        if keys is None:
            keys = ring[key.namespace] = OrderedDict()
        keys[key] = None
        self._places[key] = Ready(key, urgency, since)
        self._depths[urgency] += 1

    def remove(self, key: Key) -> None:
        """Remove a key, if it waits."""
        place = self._places.get(key)
        if place is None:
            return
        ring = self._rings[place.urgency]
        keys = ring[key.namespace]
        del keys[key]
        if not keys:
            del ring[key.namespace]
        self._leave(place)
        if not ring:  # Its next turn was not taken.
            self._tags[place.urgency] -= STRIDES[place.urgency]

    def pop(self) -> Ready | None:
        """Remove and return the next key; None when no key is ready."""
        urgencies = [urgency for urgency in Urgency if self._rings[urgency]]
        if not urgencies:
            return None
        urgency = min(urgencies, key=self._tags.__getitem__)
        ring = self._rings[urgency]
        namespace, keys = next(iter(ring.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            ring.move_to_end(namespace)
        else:
            del ring[namespace]
        self._clock = self._tags[urgency]
        if ring:
            self._tags[urgency] += STRIDES[urgency]
        return self._leave(self._places[key])

    def depth(self, urgency: Urgency) -> int:
        """Return how many keys of an urgency wait."""
        return self._depths[urgency]

    def oldest(self, urgency: Urgency) -> float | None:
        """Return since when the oldest key of an urgency waits; None without keys. It takes O(namespaces)."""
        firsts = (next(iter(keys)) for keys in self._rings[urgency].values())
        return min((self._places[key].since for key in firsts), default=None)

    def _leave(self, place: Ready) -> Ready:
        del self._places[place.key]
        self._depths[place.urgency] -= 1
        return place
