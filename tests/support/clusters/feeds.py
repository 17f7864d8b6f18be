"""The operator's store behind a fake cluster: what its watches bring, and the ports of its loops."""

from __future__ import annotations

import random
from collections.abc import Iterable

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import Kind, kind_of
from tunewright_operator.cluster import Body
from tunewright_operator.store.auditor import Auditor
from tunewright_operator.store.entries import Address, Entry
from tunewright_operator.store.projections import SELECTORS, STORED_KINDS, project
from tunewright_operator.store.reads import Reads
from tunewright_operator.store.store import Store
from tunewright_operator.store.stored_cluster import StoredCluster


class StoreFeed:
    """Brings each change into the store at once. `restart` is the start of an operator, which lists everything."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._fake = cluster
        self.clock = cluster.clock
        self.restart()
        cluster.watchers.append(self.receive)

    def restart(self) -> None:
        self.store = Store()
        self.cluster = StoredCluster(self._fake, self.store, now=self._fake.clock)
        self.reads = Reads(self.store, self.cluster, now=self._fake.clock)
        for kind in STORED_KINDS:
            for body in self._fake.bodies(kind):
                if is_watched(kind, body):
                    self.store.upsert(kind, body)
            self.store.synced(kind)

    def receive(self, event: str, body: Body) -> None:
        kind = kind_of(body)
        if is_watched(kind, body):
            self.deliver(kind, event, body)

    def deliver(self, kind: Kind, event: str, body: Body) -> bool:
        """Put an event into the store; return whether that changed it."""
        metadata = body["metadata"]
        if event == "DELETED":
            return self.store.remove(kind, metadata.get("namespace"), metadata["name"], metadata["uid"])
        return self.store.upsert(kind, body)

    def step(self) -> None:
        """Bring what is due before the next reconciliation."""

    async def catch_up(self) -> bool:
        """Bring the store up to date when the operator has nothing left to do; return whether that changed it."""
        return False


class UnreliableFeed(StoreFeed):
    """Up to ``lag`` events are late. Any of them may be lost, come twice, or come in another order, until an audit."""

    def __init__(self, cluster: FakeCluster, seed: int, lag: int = 6) -> None:
        self._random = random.Random(seed)
        self._lag = lag
        self._late: list[tuple[Kind, str, Body]] = []
        self._changes = self._seen = 0
        super().__init__(cluster)

    def seed(self, seed: int) -> None:
        self._random.seed(seed)

    def restart(self) -> None:
        # The new operator lists everything, and its watches begin after that.
        self._late.clear()
        super().restart()

    def deliver(self, kind: Kind, event: str, body: Body) -> bool:
        self._late.append((kind, event, body))
        return False

    def step(self) -> None:
        while self._late and (len(self._late) > self._lag or self._random.random() < 0.5):
            self._bring_one()

    async def catch_up(self) -> bool:
        while self._late and (self._changes == self._seen or self._random.random() < 0.5):
            self._bring_one()
        if not self._late:
            self._changes += await Auditor(self.store, self._fake, sleep=_do_not_wait).audit()
            assert_equal(self.store, self._fake)
        # A loop may have reconciled before the last change of this round.
        seen, self._seen = self._seen, self._changes
        return bool(self._late) or seen != self._changes

    def _bring_one(self) -> None:
        index = self._random.choice([0, self._random.randrange(len(self._late))])
        fate = self._random.random()
        if fate > 0.2:
            self._changes += super().deliver(*self._late[index])
        if fate < 0.8:
            del self._late[index]


async def _do_not_wait(_seconds: float) -> None:
    """Audit at once: nothing is late any more."""


def assert_equal(store: Store, cluster: FakeCluster) -> None:
    """Assert that the store has what it would have after a new listing."""
    for kind in STORED_KINDS:
        wanted = [project(kind, body) for body in cluster.bodies(kind) if is_watched(kind, body)]
        assert describe(wanted) == describe(store.entries(kind))


def describe(entries: Iterable[Entry]) -> dict[Address, str]:
    return {entry.origin.address: repr(entry) for entry in entries}


def is_watched(kind: Kind, body: Body) -> bool:
    """Return whether the operator's watches report an object."""
    return kind in STORED_KINDS and SELECTORS[kind].items() <= (body["metadata"].get("labels") or {}).items()
