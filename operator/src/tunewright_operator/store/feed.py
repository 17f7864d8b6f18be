"""What a feed of the store calls, and a feed that lists first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, Self

import structlog

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import Cluster, ClusterError
from tunewright_operator.runtime.replica import Feed
from tunewright_operator.store.child_bodies import CHILD_KINDS
from tunewright_operator.store.projections import STORED_KINDS

RETRY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where a feed puts what it lists and watches (`store.store.Store`)."""

    def upsert(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Take an object as it was at some time."""

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str) -> bool:
        """Take the deletion of one object."""

    def synced(self, kind: Kind) -> None:
        """Take note that every object of a kind that existed at the start has been put in."""


def labels_of(kind: Kind) -> dict[str, str]:
    """Return the labels by which the API server selects the objects of a kind for the store: children have ours."""
    return {labels.MANAGED_BY: labels.MANAGED_BY_VALUE} if kind in CHILD_KINDS else {}


async def list_into(sink: Sink, cluster: Cluster) -> None:
    """Put every object that the store keeps into it.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    for kind in STORED_KINDS:
        for body in await cluster.list(kind, labels=labels_of(kind)):
            sink.upsert(kind, body)
        sink.synced(kind)


class ListedFeed:
    """Watches that do not report when everything is listed: it is listed here as well."""

    def __init__(self, watches: Feed, sink: Sink, cluster: Cluster) -> None:
        self._watches = watches
        self._sink = sink
        self._cluster = cluster

    async def __aenter__(self) -> Self:
        """Start to watch."""
        await self._watches.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the watches."""
        await self._watches.__aexit__(None, None, None)

    async def wait_until_filled(self) -> None:
        """Wait for the watches, so that no change is missed, and list everything."""
        await self._watches.wait_until_filled()
        while True:
            try:
                await list_into(self._sink, self._cluster)
            except ClusterError as error:
                log.warning("resources_not_listed", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
