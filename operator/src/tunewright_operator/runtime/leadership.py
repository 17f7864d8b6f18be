"""Leader election with a Lease: at most one replica runs the loops.

The algorithm is that of client-go (tools/leaderelection). The holder renews a Lease object. Another replica takes it
over when the Lease has not changed for its whole duration. Each replica measures this with its own monotonic clock, so
that the clocks of two machines are never compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from tunewright_operator.api.kinds import LEASE
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster, ClusterError, ConflictError
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.clock import utc_now

LEASE_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
"""A holder that could not renew the Lease for this time stops its loops, before another replica may lead."""
RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Leadership:
    """Leader election of one replica, by the Lease ``namespace/name``; each replica needs another ``identity``."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._monotonic = monotonic
        self._seen: tuple[str, float] | None = None
        self._renewed = 0.0

    async def acquire(self) -> None:
        """Wait until this replica leads."""
        while True:
            if await self._try_quietly():
                break
            await asyncio.sleep(RETRY_SECONDS)
        metrics.LEADER.set(1)
        log.info("leadership_acquired", identity=self._identity)

    async def hold(self) -> None:
        """Renew the Lease until leadership is lost, then return: the process must stop its loops."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if not await self._renew_in_time() and self._time_left() <= 0:
                metrics.LEADER.set(0)
                log.error("leadership_lost", identity=self._identity)
                return

    async def release(self) -> None:
        """Release the Lease, so that the next leader need not wait until it expires."""
        try:
            lease = await self._cluster.get(LEASE, self._namespace, self._name)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                await self._cluster.replace({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except ClusterError as error:
            log.warning("lease_not_released", error=str(error))
        metrics.LEADER.set(0)

    async def try_acquire(self) -> bool:
        """Acquire or renew the Lease if possible; return whether this replica holds it.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        started = self._monotonic()
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        try:
            if lease is None:
                await self._cluster.create(self._build(None))
            elif self._may_take(lease):
                await self._cluster.replace(self._build(lease))
            else:
                return False
        except (AlreadyExistsError, ConflictError):
            return False
        # The time before the request: the other replicas count from the write, whose time is unknown here but later.
        self._renewed = started
        return True

    def _time_left(self) -> float:
        """Return how many seconds this replica may still lead without a renewal."""
        return self._renewed + RENEW_DEADLINE_SECONDS - self._monotonic()

    async def _renew_in_time(self) -> bool:
        """Try to renew the Lease; return whether it was renewed before the renew deadline.

        A request without an answer, for example on a dropped connection, fails at the deadline.
        """
        try:
            async with asyncio.timeout(max(0.0, self._time_left())):
                return await self._try_quietly()
        except TimeoutError:
            log.warning("lease_unreachable", error="the API server did not answer in time")
            return False

    async def _try_quietly(self) -> bool:
        try:
            return await self.try_acquire()
        except ClusterError as error:
            log.warning("lease_unreachable", error=str(error))
            return False

    def _may_take(self, lease: Body) -> bool:
        holder = lease["spec"].get("holderIdentity")
        if holder in {self._identity, "", None}:
            return True
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._monotonic())
            return False
        return self._monotonic() - self._seen[1] > float(lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)

    def _build(self, lease: Body | None) -> Body:
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict(lease["spec"]) if lease else {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
        spec |= {"holderIdentity": self._identity, "renewTime": now, "leaseDurationSeconds": int(LEASE_SECONDS)}
        metadata = dict(lease["metadata"]) if lease else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
