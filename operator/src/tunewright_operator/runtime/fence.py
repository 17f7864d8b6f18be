"""The fence: the ports of the loops, which refuse to write when this replica does not lead.

The check comes immediately before a request. A request that was already sent cannot be recalled. It ends with the
process, before another replica may lead (`leader_thread`), and its precondition protects objects that changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from tunewright_contracts.clients.access_list import SignedAccessList
from tunewright_contracts.serving_plan import SignedPlan
from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import FIELD_MANAGER, Bodies, Body, Cluster, Propagation
from tunewright_operator.manifests.events import EventType
from tunewright_operator.runtime.term import Term
from tunewright_operator.serving import PodAddress, ServerPods, StateAnswer


class FencedCluster:
    """A `Cluster` whose writes also raise `LeadershipLostError`. Reads need no leadership."""

    def __init__(self, cluster: Cluster, term: Term) -> None:
        self._cluster = cluster
        self._term = term

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.get`."""
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        """See `Cluster.list`."""
        return await self._cluster.list(kind, namespace, labels, fields)

    def list_metadata(self, kind: Kind, labels: Mapping[str, str] | None = None) -> AsyncIterator[Bodies]:
        """See `Cluster.list_metadata`."""
        return self._cluster.list_metadata(kind, labels)

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.read_metadata`."""
        return await self._cluster.read_metadata(kind, namespace, name)

    async def create(self, body: Body) -> Body:
        """See `Cluster.create`."""
        self._term.check()
        return await self._cluster.create(body)

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        """See `Cluster.apply`."""
        self._term.check()
        return await self._cluster.apply(body, field_manager)

    async def replace(self, body: Body) -> Body:
        """See `Cluster.replace`."""
        self._term.check()
        return await self._cluster.replace(body)

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        """See `Cluster.replace_status`."""
        self._term.check()
        return await self._cluster.replace_status(observed, status)

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
        self._term.check()
        return await self._cluster.patch_metadata(
            kind,
            namespace,
            name,
            annotations=annotations,
            labels=labels,
            finalizers=finalizers,
            resource_version=resource_version,
        )

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
        self._term.check()
        return await self._cluster.delete(kind, namespace, name, uid=uid, propagation=propagation)

    async def emit_event(
        self,
        regarding: Body,
        event_type: EventType,
        reason: str,
        message: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """See `Cluster.emit_event`; an Event that waits is dropped when leadership is lost."""
        await self._cluster.emit_event(
            regarding, event_type, reason, message, may_write=lambda: may_write() and self._term.seconds_left() > 0
        )


class FencedServerPods:
    """`ServerPods` whose `push_plan` and `push_access` also raise `LeadershipLostError`."""

    def __init__(self, pods: ServerPods, term: Term) -> None:
        self._pods = pods
        self._term = term

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        """See `ServerPods.fetch_state`."""
        return await self._pods.fetch_state(pod, token, known)

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """See `ServerPods.push_plan`."""
        self._term.check()
        await self._pods.push_plan(pod, signed)

    async def push_access(self, pod: PodAddress, signed: SignedAccessList) -> None:
        """See `ServerPods.push_access`."""
        self._term.check()
        await self._pods.push_access(pod, signed)
