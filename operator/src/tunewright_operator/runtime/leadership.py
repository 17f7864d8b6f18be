"""Leader election with a Lease: at most one replica runs the loops.

The algorithm is that of client-go (tools/leaderelection). The holder renews a Lease object. Another replica takes it
over when the Lease has not changed for its whole duration. Each replica measures this with its own clock, from the
moment at which it saw the Lease, so that the clocks of two machines are never compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable

import structlog

from tunewright_operator.api.kinds import LEASE
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster, ClusterError, ConflictError
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.clock import utc_now
from tunewright_operator.runtime.term import Term

LEASE_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
"""A holder that could not renew the Lease for this time ends, before another replica may lead."""
RETRY_SECONDS = 2.0
RETRY_JITTER = 0.2
"""A replica that waits for the Lease waits up to this share longer, so that several do not ask at the same time."""
EXPIRY_MARGIN_SECONDS = 0.01
"""A replica that waits asks again so long after the Lease expires, if that is before its next attempt."""
ATTEMPTS_BEFORE_DEADLINE = 2
"""How many attempts without an answer fit into the renew deadline: one dropped connection does not end leadership."""
RELEASE_ATTEMPTS = 2

log = structlog.get_logger(__name__)


class Leadership:
    """Leader election of one replica, by the Lease ``namespace/name``; each replica needs another ``identity``.

    The term shows other threads until when the replica may act.
    """

    def __init__(self, cluster: Cluster, term: Term, *, namespace: str, name: str, identity: str) -> None:
        self._cluster = cluster
        self._term = term
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: tuple[str, float] | None = None
        """The version of the Lease when another replica held it, and when that expires."""

    async def observe(self, until: asyncio.Event) -> None:
        """Measure how long the Lease has not been renewed, without taking it, until the event is set.

        So a replica that becomes a candidate later does not begin to measure only then.
        """
        while not until.is_set():
            await self._try_within(RENEW_DEADLINE_SECONDS / ATTEMPTS_BEFORE_DEADLINE, self._observe())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await until.wait()

    async def acquire(self) -> None:
        """Wait until this replica leads."""
        limit = RENEW_DEADLINE_SECONDS / ATTEMPTS_BEFORE_DEADLINE
        while not await self._try_within(limit, self.try_acquire()):  # noqa: ASYNC110 - the API server has no event
            await asyncio.sleep(self._pause())
        metrics.LEADER.set(1)
        log.info("leadership_acquired", identity=self._identity)

    async def hold(self) -> None:
        """Renew the Lease until the term is over, then return: the process must stop its loops."""
        while (left := self._term.seconds_left()) > 0:
            await asyncio.sleep(min(RETRY_SECONDS, left))
            if (left := self._term.seconds_left()) > 0:
                limit = min(left, RENEW_DEADLINE_SECONDS / ATTEMPTS_BEFORE_DEADLINE)
                await self._try_within(limit, self.try_acquire())
        metrics.LEADER.set(0)

    async def release(self) -> None:
        """End the term and release the Lease, so that the next leader need not wait until the Lease expires."""
        self._term.end()
        metrics.LEADER.set(0)
        for _ in range(RELEASE_ATTEMPTS):
            try:
                await self._try_release()
            except ConflictError as error:
                # A renewal that was cancelled took effect after the read.
                log.warning("lease_not_released", error=str(error))
            except ClusterError as error:
                log.warning("lease_not_released", error=str(error))
                return
            else:
                return

    async def try_acquire(self) -> bool:
        """Acquire or renew the Lease if possible; return whether this replica holds it.

        If another replica holds it, the term ends: a user can edit the Lease.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        started = self._term.now()
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        try:
            if lease is None:
                await self._cluster.create(self._build(None))
            elif self._may_take(lease):
                await self._cluster.replace(self._build(lease))
            else:
                if self._term.seconds_left() > 0:
                    self._term.end()
                return False
        except (AlreadyExistsError, ConflictError):
            return False
        if (margin := self._term.seconds_left()) > 0:
            metrics.LEASE_MARGIN.observe(margin)
        # The time before the request: the other replicas count from the write, whose time is unknown here but later.
        self._term.extend(started + RENEW_DEADLINE_SECONDS)
        return True

    async def _try_within(self, seconds: float, attempt: Awaitable[bool]) -> bool:
        """Return the result of an attempt to read, acquire or renew the Lease; False if it fails.

        A request without an answer, for example on a dropped connection, fails after ``seconds``. The next one uses
        another connection.
        """
        try:
            async with asyncio.timeout(seconds):
                return await attempt
        except TimeoutError:
            log.warning("lease_unreachable", error="the API server did not answer in time")
        except ClusterError as error:
            log.warning("lease_unreachable", error=str(error))
        return False

    def _pause(self) -> float:
        """Return the seconds until the next attempt: not longer than until the Lease expires."""
        pause = RETRY_SECONDS * random.uniform(1.0, 1.0 + RETRY_JITTER)  # noqa: S311 - not a secret
        left = self._seen[1] - self._term.now() if self._seen is not None else 0.0
        return min(pause, left + EXPIRY_MARGIN_SECONDS) if left > 0 else pause

    async def _observe(self) -> bool:
        """Return whether another replica holds the Lease, and note when it expires."""
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        return lease is not None and not self._may_take(lease)

    async def _try_release(self) -> None:
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
            await self._cluster.replace({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})

    def _may_take(self, lease: Body) -> bool:
        holder = lease["spec"].get("holderIdentity")
        if holder in {self._identity, "", None}:
            return True
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen[0] != version:
            duration = float(lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)
            self._seen = (version, self._term.now() + duration)
        return self._term.now() > self._seen[1]

    def _build(self, lease: Body | None) -> Body:
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict(lease["spec"]) if lease else {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if lease else 0)
        spec |= {"holderIdentity": self._identity, "renewTime": now, "leaseDurationSeconds": int(LEASE_SECONDS)}
        metadata = dict(lease["metadata"]) if lease else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
