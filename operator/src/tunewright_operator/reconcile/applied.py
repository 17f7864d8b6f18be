"""Children that are applied server-side: when they change, and when another client has changed them.

At intervals only the metadata of an unchanged child is read. An apply would cost the API server much more, because it
computes which manager owns each field.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from tunewright_operator.api.kinds import kind_of
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.reconcile.children import NameTakenError

DRIFT_SECONDS = 60.0
"""The interval at which a child is checked for changes of other clients."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Applied:
    """What was applied, the version that this made, and when that version was last found."""

    body: Body
    version: tuple[Any, ...]
    found_at: dt.datetime


class AppliedChildren:
    """Applies objects and remembers what it applied; without this memory it applies them again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._applied: dict[tuple[str, str, str], _Applied] = {}

    async def apply(self, body: Body, now: dt.datetime) -> None:
        """Apply an object, unless this body was applied and the object is unchanged since then.

        The latter is checked after `DRIFT_SECONDS`.

        Raises:
            NameTakenError: an object of that name exists and has another controller, or none.
            ClusterError: the server refused or did not answer.
        """
        kind, metadata = kind_of(body), body["metadata"]
        address = (kind.name, metadata["namespace"], metadata["name"])
        last = self._applied.get(address)
        if last is not None and last.body != body:
            last = None
        if last is not None and (now - last.found_at).total_seconds() < DRIFT_SECONDS:
            return
        existing = await self._cluster.read_metadata(kind, metadata["namespace"], metadata["name"])
        if existing is not None and controller_uid(existing) != controller_uid(body):
            raise NameTakenError(f"{kind} {metadata['namespace']}/{metadata['name']}")
        if last is None or existing is None or _read_version(existing) != last.version:
            self._applied.pop(address, None)
            last = _Applied(body, _read_version(await self._cluster.apply(body)), now)
        self._applied[address] = dataclasses.replace(last, found_at=now)

    def forget(self, owner_uid: str) -> None:
        """Forget the children of a deleted resource."""
        self._applied = {
            address: applied for address, applied in self._applied.items() if controller_uid(applied.body) != owner_uid
        }


def _read_version(found: Body) -> tuple[Any, ...]:
    """Return what changes with an object, except with its status.

    The generation changes with the spec. Kinds without one, such as ConfigMap and Service, have only a version of
    everything.
    """
    metadata = found["metadata"]
    written = metadata.get("generation") or metadata["resourceVersion"]
    return metadata["uid"], written, *(metadata.get(field) for field in ("labels", "annotations", "ownerReferences"))
