"""A `Cluster` whose answers go into the store at once: an own write is visible to the next reconciliation.

It stands before the fenced cluster. After a conflict it reads the object again, so that the reconciliation that
follows decides from a current version, even if the feed is late.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from tunewright_contracts.times import format_time
from tunewright_operator.api.kinds import Kind, kind_of
from tunewright_operator.cluster import (
    FIELD_MANAGER,
    Bodies,
    Body,
    Cluster,
    ClusterError,
    ConflictError,
    NotFoundError,
    Propagation,
)
from tunewright_operator.manifests.events import EventType
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.store.entries import StoredChild
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.store import Store


class StoredCluster:
    """A `Cluster` that puts into the store what the API server answers; for other kinds it changes nothing."""

    def __init__(self, cluster: Cluster, store: Store, *, now: Now = utc_now) -> None:
        self._cluster = cluster
        self._store = store
        self._now = now

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.get`."""
        if kind not in STORED_KINDS:
            return await self._cluster.get(kind, namespace, name)
        known = self._store.find(kind, namespace, name)
        body = await self._cluster.get(kind, namespace, name)
        if body is not None:
            self._store.upsert(kind, body)
        elif known is not None:
            self._store.remove(kind, namespace, name, known.origin.uid, certain=False)
        return body

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        """See `Cluster.list`."""
        found = await self._cluster.list(kind, namespace, labels, fields)
        for body in found if kind in STORED_KINDS else ():
            self._store.upsert(kind, body)
        return found

    def list_metadata(self, kind: Kind, labels: Mapping[str, str] | None = None) -> AsyncIterator[Bodies]:
        """See `Cluster.list_metadata`."""
        return self._cluster.list_metadata(kind, labels)

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.read_metadata`."""
        return await self._cluster.read_metadata(kind, namespace, name)

    async def create(self, body: Body) -> Body:
        """See `Cluster.create`."""
        return self._take(await self._cluster.create(body))

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        """See `Cluster.apply`."""
        try:
            return self._take(await self._cluster.apply(body, field_manager))
        except ConflictError:
            # With a UID: the object is gone. Without this read, the loop would apply to it again until the next audit.
            await self._read_again(body)
            raise

    async def replace(self, body: Body) -> Body:
        """See `Cluster.replace`."""
        try:
            return self._take(await self._cluster.replace(body))
        except (ConflictError, NotFoundError):
            await self._read_again(body)
            raise

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        """See `Cluster.replace_status`."""
        try:
            return self._take(await self._cluster.replace_status(observed, status))
        except (ConflictError, NotFoundError):
            await self._read_again(observed)
            raise

    async def patch_metadata(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        annotations: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        finalizers: Sequence[str] | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """See `Cluster.patch_metadata`."""
        try:
            return self._take(
                await self._cluster.patch_metadata(
                    kind,
                    namespace,
                    name,
                    annotations=annotations,
                    labels=labels,
                    finalizers=finalizers,
                    resource_version=resource_version,
                )
            )
        except (ConflictError, NotFoundError):
            await self._refresh(kind, namespace, name)
            raise

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> bool:
        """See `Cluster.delete`."""
        try:
            deleted = await self._cluster.delete(kind, namespace, name, uid=uid, propagation=propagation)
        except ConflictError:
            await self._refresh(kind, namespace, name)
            raise
        known = self._store.find(kind, namespace, name) if kind in STORED_KINDS else None
        if known is None or uid is None or known.origin.uid != uid:
            return deleted
        lingers = propagation is Propagation.FOREGROUND or (isinstance(known, StoredChild) and known.has_finalizers)
        if deleted and lingers:
            self._store.mark_deleting(kind, namespace, name, uid, format_time(self._now()))
        else:
            self._store.remove(kind, namespace, name, uid, certain=deleted)
        return deleted

    async def emit_event(
        self,
        regarding: Body,
        event_type: EventType,
        reason: str,
        message: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """See `Cluster.emit_event`."""
        await self._cluster.emit_event(regarding, event_type, reason, message, may_write=may_write)

    def _take(self, body: Body) -> Body:
        kind = kind_of(body)
        if kind in STORED_KINDS:
            self._store.upsert(kind, body)
        return body

    async def _read_again(self, body: Body) -> None:
        await self._refresh(kind_of(body), body["metadata"].get("namespace"), body["metadata"]["name"])

    async def _refresh(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Read an object into the store. If that fails, the feed or the audit brings it later."""
        if kind in STORED_KINDS:
            with contextlib.suppress(ClusterError):
                await self.get(kind, namespace, name)
