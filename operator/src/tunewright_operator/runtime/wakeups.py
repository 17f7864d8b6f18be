"""Wake-ups: a watch event wakes the loop that must reconcile again.

A wake-up has no data. The loop reads everything that it needs from the API server, so that lost, repeated and early
wake-ups do no harm.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

from tunewright_operator.api import labels as child_labels
from tunewright_operator.api.kinds import OWN_KINDS, Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """The name of one custom resource; ``namespace`` is None for a cluster-scoped resource."""

    kind: Kind
    namespace: str | None
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"


class Wakeups:
    """One asyncio event for each running loop; `register` creates it and `forget` removes it."""

    def __init__(self) -> None:
        self._events: dict[Key, asyncio.Event] = {}

    def register(self, key: Key) -> None:
        """Create a loop's event; its first `wait` returns at once."""
        event = self._events.setdefault(key, asyncio.Event())
        event.set()

    def forget(self, key: Key) -> None:
        """Remove a loop's event."""
        self._events.pop(key, None)

    def wake(self, key: Key) -> bool:
        """Wake one loop; return False when it does not run."""
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
        """Wake the loop of the resource that a child's labels name; return False when it does not run."""
        kind_name, name = labels.get(child_labels.KIND), labels.get(child_labels.NAME)
        for kind in OWN_KINDS:
            if kind.name == kind_name and name:
                return self.wake(Key(kind, namespace if kind.namespaced else None, name))
        return False

    def wake_kind(self, kind: Kind, namespace: str | None = None) -> int:
        """Wake all loops of a kind, in one namespace or in all; return their number."""
        keys = [key for key in self._events if key.kind == kind and namespace in {None, key.namespace}]
        for key in keys:
            self._events[key].set()
        return len(keys)

    async def wait(self, key: Key, timeout_seconds: float | None) -> bool:
        """Wait for the next wake-up and consume it; return False after the timeout."""
        event = self._events[key]
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True
