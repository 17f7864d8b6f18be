"""The auditor: compares the store with the API server now and then, and repairs what events missed.

A watch can lose an event, since every program has bugs, and after etcd is restored from a backup the store has newer
versions than the API server. Only metadata is listed, in pages. What differs may just be on its way, so it is compared
again after some time, and only then read. A repair is a change of the store like any other, so it wakes what depends on
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, NoReturn

import structlog

from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, MODEL_CLIENT, MODEL_SERVER, Kind
from tunewright_operator.cluster import Cluster, ClusterError, ForbiddenError
from tunewright_operator.store import metrics
from tunewright_operator.store.entries import Address
from tunewright_operator.store.projections import SELECTORS, STORED_KINDS, read_origin
from tunewright_operator.store.store import Store

AUDIT_SECONDS = 600.0
PATIENCE_SECONDS = 30.0
"""How long a difference may last before it is repaired: an event may be on its way."""
RETRY_SECONDS = 1.0
TAKEN_OVER: Final = (BASE_MODEL, MODEL_SERVER, ADAPTER_DEPLOYMENT, MODEL_CLIENT)
"""What is read again before a new leader works.

Its watches can be late, for example if their connection is dead. The plan of a server, its list of clients and the
objects of its pods are built from these resources, and no write would conflict: requests would go back to a candidate
that was rolled back, and a revoked key would be accepted again.
"""

log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Difference:
    """An object of which the store had another version than the API server, or of which only one of them knew."""

    kind: Kind
    address: Address
    stored: tuple[str, int] | None
    """UID and version in the store; None if it had none."""


class Auditor:
    """Audits the store at intervals."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        *,
        interval: float = AUDIT_SECONDS,
        patience: float = PATIENCE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._interval = interval
        self._patience = patience
        self._sleep = sleep

    async def run(self) -> NoReturn:
        """Audit until cancelled."""
        while True:
            await self._sleep(self._interval)
            await self.audit()

    @contextlib.asynccontextmanager
    async def running(self, *, on_end: Callable[[], None]) -> AsyncIterator[None]:
        """Bring the store up to date, and audit in a task until the end of the context.

        What the task failed with is raised there. Without audits, lost events would never be noticed. So ``on_end`` is
        called when the task ends.
        """
        await self._catch_up()
        task = asyncio.create_task(self.run(), name="auditor")
        task.add_done_callback(lambda _: on_end())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def audit(self) -> int:
        """Compare all kinds and repair what still differs after a while; return the number of repairs.

        A kind that cannot be listed, and a difference that cannot be read, are logged and left to the next audit.
        """
        differences: list[_Difference] = []
        for kind in STORED_KINDS:
            with _logged(kind):
                differences += await self._compare(kind)
        if not differences:
            return 0
        await self._sleep(self._patience)
        repairs = 0
        for difference in differences:
            with _logged(difference.kind):
                repairs += await self._repair(difference)
        return repairs

    async def _catch_up(self) -> None:
        """Read what the last leader may have written although no event came of it; repeat it until that succeeds."""
        while True:
            try:
                for kind in TAKEN_OVER:
                    for difference in await self._compare(kind):
                        await self._correct(difference)
            except ClusterError as error:
                log.warning("store_not_up_to_date", error=str(error))
                await self._sleep(RETRY_SECONDS)
            else:
                return

    async def _compare(self, kind: Kind) -> list[_Difference]:
        unseen = {entry.origin.address: (entry.origin.uid, entry.origin.version) for entry in self._store.entries(kind)}
        found: list[_Difference] = []
        async for page in self._cluster.list_metadata(kind, labels=SELECTORS[kind]):
            for item in page:
                origin = read_origin(kind, item)
                unseen.pop(origin.address, None)
                stored = self._identify(kind, origin.address)
                if stored != (origin.uid, origin.version):
                    found.append(_Difference(kind, origin.address, stored))
        # What has changed since the list began is in the store for a reason that is newer than the list.
        gone = [address for address, stored in unseen.items() if self._identify(kind, address) == stored]
        return [*found, *(_Difference(kind, address, unseen[address]) for address in gone)]

    async def _repair(self, difference: _Difference) -> bool:
        repaired = await self._correct(difference)
        if repaired:
            kind = difference.kind
            metrics.STORE_REPAIRS.labels(kind.name).inc()
            where = "/".join(part for part in difference.address if part)
            log.warning(
                "store_repaired",
                kind=kind.name,
                name=where,
                exists=self._identify(kind, difference.address) is not None,
            )
        return repaired

    async def _correct(self, difference: _Difference) -> bool:
        """Read an object into the store; return whether that changed the store."""
        kind, (namespace, name) = difference.kind, difference.address
        if self._identify(kind, difference.address) != difference.stored:
            return False  # An event came.
        try:
            # A list of one object needs no other right than the watch.
            bodies = await self._cluster.list(kind, namespace, SELECTORS[kind], {"metadata.name": name})
        except ForbiddenError as error:
            # Who may change RoleBindings in the namespace must not stop the audit of the others.
            log.warning("object_not_audited", kind=kind.name, name=f"{namespace}/{name}", error=str(error))
            return False
        stored = self._identify(kind, difference.address)
        if stored != difference.stored:
            return False
        if bodies:
            return self._store.restore(kind, bodies[0])
        # It may exist without our label, and get that back.
        return stored is not None and self._store.remove(kind, namespace, name, stored[0], certain=False)

    def _identify(self, kind: Kind, address: Address) -> tuple[str, int] | None:
        entry = self._store.find(kind, *address)
        return None if entry is None else (entry.origin.uid, entry.origin.version)


@contextlib.contextmanager
def _logged(kind: Kind) -> Iterator[None]:
    """Log an error of the API server: what it keeps from being audited must not keep other kinds from it."""
    try:
        yield
    except ClusterError as error:
        log.warning("store_not_audited", kind=kind.name, error=str(error))
