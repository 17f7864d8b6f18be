"""The gate between the watches, which always run, and reconciliations, which run only while this replica leads.

A standby knows every resource and reconciles none. When it becomes the leader, it reconciles each of them: what the
leader before it did last is unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from tunewright_operator.runtime.key import Key, Urgency


class Reconciliations(Protocol):
    """What reconciles a resource when it is woken (`runner.Runner`)."""

    def wake(self, key: Key, urgency: Urgency) -> None:
        """Reconcile a resource when it has its turn."""

    def forget(self, key: Key) -> None:
        """Do not reconcile a deleted resource again."""

    def is_abandoned(self, key: Key) -> bool:
        """Return whether a resource is not reconciled again until it is woken, since the API server denied it."""


class Gate:
    """`Reconciliations` of a replica that may become the leader, and the resources that exist."""

    def __init__(self) -> None:
        self._keys: dict[Key, None] = {}
        self._reconciliations: Reconciliations | None = None

    @contextlib.contextmanager
    def open(self, reconciliations: Reconciliations) -> Iterator[None]:
        """Wake all resources, and pass everything on until the end of the context."""
        self._reconciliations = reconciliations
        try:
            for key in [*self._keys]:
                reconciliations.wake(key, Urgency.LISTING)
            yield
        finally:
            self._reconciliations = None

    def wake(self, key: Key, urgency: Urgency) -> None:
        """See `Reconciliations.wake`; a standby only remembers the resource."""
        self._keys[key] = None
        if self._reconciliations is not None:
            self._reconciliations.wake(key, urgency)

    def wake_known(self, key: Key, urgency: Urgency) -> None:
        """Wake a resource unless it was deleted: a pod's answer can arrive later than that."""
        if key in self._keys and self._reconciliations is not None:
            self._reconciliations.wake(key, urgency)

    def forget(self, key: Key) -> None:
        """See `Reconciliations.forget`; a standby also forgets the resource."""
        self._keys.pop(key, None)
        if self._reconciliations is not None:
            self._reconciliations.forget(key)

    def is_abandoned(self, key: Key) -> bool:
        """Return whether the leader abandoned a resource. A standby abandons none, because it reconciles none."""
        return self._reconciliations is not None and self._reconciliations.is_abandoned(key)
