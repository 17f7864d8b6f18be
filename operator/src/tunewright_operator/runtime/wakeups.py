"""Wake-ups: what connects a watch event to the loop that should look again.

A wake-up carries no data: the loop re-reads everything it decides from, so lost, repeated and early ones do no harm.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

from tunewright_operator.api import labels as child_labels
from tunewright_operator.api.kinds import OWN_KINDS, Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """Names one custom resource; ``namespace`` is None for a cluster-scoped one."""

    kind: Kind
    namespace: str | None
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Wakeups:
    """One event per running loop; only loops that `register`ed can be woken, and `forget` frees the event."""

    def __init__(self) -> None:
        self._events: dict[Key, asyncio.Event] = {}

    def register(self, key: Key) -> None:
        """Make a loop wakeable; its first `wait` returns at once."""
        event = self._events.setdefault(key, asyncio.Event())
        event.set()

    def forget(self, key: Key) -> None:
        """Free what `register` made."""
        self._events.pop(key, None)

    def wake(self, key: Key) -> bool:
        """Wake one loop; False when there is none."""
        event = self._events.get(key)
        if event is None:
            return False
        event.set()
        return True

    def is_woken(self, key: Key) -> bool:
        """Return whether a loop was woken since its last `wait`."""
        event = self._events.get(key)
        return event is not None and event.is_set()

    def wake_owner(self, namespace: str | None, labels: Mapping[str, str]) -> bool:
        """Wake the loop whose resource a child's labels name; False when they name none that runs."""
        kind_name, name = labels.get(child_labels.KIND), labels.get(child_labels.NAME)
        for kind in OWN_KINDS:
            if kind.name == kind_name and name:
                return self.wake(Key(kind, namespace if kind.namespaced else None, name))
        return False

    def wake_kind(self, kind: Kind, namespace: str | None = None) -> int:
        """Wake every loop of a kind, in one namespace or in all; return how many."""
        keys = [key for key in self._events if key.kind == kind and namespace in {None, key.namespace}]
        for key in keys:
            self._events[key].set()
        return len(keys)

    async def wait(self, key: Key, timeout_seconds: float | None) -> bool:
        """Wait for the next wake-up and consume it; False when the time ran out first."""
        event = self._events[key]
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True
