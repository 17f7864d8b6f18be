"""Changes of the store wake resources while this replica leads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import structlog

from tunewright_operator.api.kinds import OWN_KINDS, Kind
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.store.entries import Entry
from tunewright_operator.store.store import Store
from tunewright_operator.store.wakes import find_first_wakes, find_wakes, key_of

log = structlog.get_logger(__name__)


class Reconciliations(Protocol):
    """What reconciles a resource when it is woken (`runtime.runner.Runner`)."""

    def wake(self, key: Key, urgency: Urgency) -> None:
        """Reconcile a resource when it has its turn."""

    def forget(self, key: Key) -> None:
        """Do not reconcile a deleted resource again."""


class Dispatcher:
    """Connects the store, which a standby keeps as well, with what reconciles while this replica leads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reconciliations: Reconciliations | None = None
        store.subscribe(self._follow)

    @contextlib.contextmanager
    def open(self, reconciliations: Reconciliations) -> Iterator[None]:
        """Wake all resources that may need it, and then those that a change concerns, until the end of the context.

        Raises:
            RuntimeError: the store is not synced. A plan without the deployments that are not listed yet would take
                their routes away.
        """
        if not self._store.is_synced:
            raise RuntimeError("the store is not synced")
        self._reconciliations = reconciliations
        try:
            wakes = list(find_first_wakes(self._store))
            log.info("resources_woken", known=sum(self._store.count(kind) for kind in OWN_KINDS), woken=len(wakes))
            for wake in wakes:
                reconciliations.wake(wake.key, wake.urgency)
            yield
        finally:
            self._reconciliations = None

    def wake(self, key: Key, urgency: Urgency) -> None:
        """Wake a resource for a reason that is not in the store, if it exists."""
        if self._reconciliations is not None and self._store.find(key.kind, key.namespace, key.name) is not None:
            self._reconciliations.wake(key, urgency)

    def _follow(self, kind: Kind, old: Entry | None, new: Entry | None) -> None:
        if self._reconciliations is None:
            return
        if kind in OWN_KINDS and old is not None and (new is None or new.origin.uid != old.origin.uid):
            self._reconciliations.forget(key_of(kind, old))
        for wake in find_wakes(kind, old, new, self._store):
            self._reconciliations.wake(wake.key, wake.urgency)
