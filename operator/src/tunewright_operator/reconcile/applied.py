"""Children that are applied server-side: when they change, and at intervals to correct drift."""

from __future__ import annotations

import datetime as dt

from tunewright_operator.api.kinds import kind_of
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.reconcile.children import NameTakenError

DRIFT_SECONDS = 60.0


class AppliedChildren:
    """Applies objects and remembers what it applied; without this memory it applies them again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._applied: dict[tuple[str, str, str], tuple[Body, dt.datetime]] = {}

    async def apply(self, body: Body, now: dt.datetime) -> None:
        """Apply an object, unless this body was applied within the last `DRIFT_SECONDS`.

        Raises:
            NameTakenError: an object of that name exists and has another controller, or none.
            ClusterError: the server refused or did not answer.
        """
        kind, metadata = kind_of(body), body["metadata"]
        address = (kind.name, metadata["namespace"], metadata["name"])
        last = self._applied.get(address)
        if last is not None and last[0] == body and (now - last[1]).total_seconds() < DRIFT_SECONDS:
            return
        existing = await self._cluster.read_metadata(kind, metadata["namespace"], metadata["name"])
        if existing is not None and controller_uid(existing) != controller_uid(body):
            raise NameTakenError(f"{kind} {metadata['namespace']}/{metadata['name']}")
        await self._cluster.apply(body)
        self._applied[address] = (body, now)

    def forget(self, owner_uid: str) -> None:
        """Forget the children of a deleted resource."""
        self._applied = {
            address: (body, applied_at)
            for address, (body, applied_at) in self._applied.items()
            if controller_uid(body) != owner_uid
        }
