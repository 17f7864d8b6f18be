"""The gate between the watches, which always run, and the loops, which run only while this replica leads.

A standby knows every resource, but none of them has a loop. When it becomes the leader, each resource gets one and
reconciles at once: what the leader before it did last is unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from tunewright_operator.runtime.wakeups import Key


class Loops(Protocol):
    """The loops, one for each resource (`runner.Runner`)."""

    def ensure(self, key: Key) -> None:
        """Wake the loop of a resource; start it if it does not run."""

    def is_running(self, key: Key) -> bool:
        """Return whether a resource has a loop."""

    def stop(self, key: Key) -> None:
        """End the loop of a deleted resource."""


class Gate:
    """`Loops` of a replica that may become the leader, and the resources that exist."""

    def __init__(self) -> None:
        self._keys: dict[Key, None] = {}
        self._loops: Loops | None = None

    @contextlib.contextmanager
    def open(self, loops: Loops) -> Iterator[None]:
        """Start the loops of all resources, and pass everything on to them until the end of the context."""
        self._loops = loops
        try:
            for key in [*self._keys]:
                loops.ensure(key)
            yield
        finally:
            self._loops = None

    def ensure(self, key: Key) -> None:
        """See `Loops.ensure`; a standby only remembers the resource."""
        self._keys[key] = None
        if self._loops is not None:
            self._loops.ensure(key)

    def is_running(self, key: Key) -> bool:
        """Return whether a resource has the loop that it should have: a standby has none that could be missing."""
        return self._loops is None or self._loops.is_running(key)

    def stop(self, key: Key) -> None:
        """See `Loops.stop`; the resource is forgotten."""
        self._keys.pop(key, None)
        if self._loops is not None:
            self._loops.stop(key)
