"""The store: the newest known version of every object that the loops read, with indices.

A feed (the watches) and the answers to the operator's own writes put objects into it, in any order and any number of
times; `resourceVersion` and UID decide what is newer. What the store does not know yet only delays a decision: every
write that follows from it has a precondition.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Generic, TypeVar

from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    Kind,
)
from tunewright_operator.store.child_bodies import CHILD_KINDS
from tunewright_operator.store.entries import Address, Entry, Origin, ParsedJob, StoredChild, StoredJob, StoredResource
from tunewright_operator.store.index import Index
from tunewright_operator.store.projections import STORED_KINDS, Body, mark_deleting, parse_version, project, read_origin

OnChange = Callable[[Kind, Entry | None, Entry | None], None]
"""Called after each change with the kind, the old entry and the new one; None: there was or is none."""

E = TypeVar("E")

REMEMBERED_DELETIONS = 20_000
"""The number of deleted UIDs that the store remembers, so that a late event does not bring an object back."""
PARSED_JOBS = 256
"""The number of FineTuneJobs that are kept as they were parsed, besides their documents."""


class _Table(Generic[E]):
    """The entries of one kind, with their indices."""

    def __init__(self, **indices: Index[E]) -> None:
        self.entries: dict[Address, E] = {}
        self.indices = indices

    def replace(self, address: Address, new: E | None) -> None:
        old = self.entries.get(address)
        for index in self.indices.values():
            index.replace(address, old, new)
        if new is None:
            self.entries.pop(address, None)
        else:
            self.entries[address] = new

    def select(self, index: str, value: Any) -> list[E]:
        return [self.entries[address] for address in self.indices[index].find(value)]


class Store:
    """The entries of all `STORED_KINDS`; only the main loop uses it.

    `upsert`, `remove`, `retain` and `synced` are what a feed calls (`kubernetes_api.reflector.Sink`).
    """

    def __init__(self) -> None:
        self._subscribers: list[OnChange] = []
        self._jobs = _Table[StoredJob](
            namespace=Index(lambda job: (job.origin.namespace,)),
            label=Index(lambda job: ((job.origin.namespace, *pair) for pair in job.labels.items())),
            open_by_model=Index(lambda job: () if job.ended else (job.base_model,)),
        )
        self._models = _Table[StoredResource[Any]]()
        self._servers = _Table[StoredResource[Any]](model=Index(_list_references))
        self._deployments = _Table[StoredResource[Any]](
            server=Index(_list_references), namespace=Index(lambda found: (found.origin.namespace,))
        )
        self._clients = _Table[StoredResource[Any]](namespace=Index(lambda found: (found.origin.namespace,)))
        self._children = {kind: _Table[StoredChild](controller=Index(_list_controllers)) for kind in CHILD_KINDS}
        self._tables: Mapping[Kind, _Table[Any]] = {
            FINE_TUNE_JOB: self._jobs,
            BASE_MODEL: self._models,
            MODEL_SERVER: self._servers,
            ADAPTER_DEPLOYMENT: self._deployments,
            MODEL_CLIENT: self._clients,
            **self._children,
        }
        self._deleted: OrderedDict[str, int] = OrderedDict()
        """By UID, the version at which an object was deleted; 0 if that is unknown."""
        self._parsed: deque[ParsedJob] = deque()
        self._unsynced = set(STORED_KINDS)
        self._on_synced: list[Callable[[], None]] = []

    # What feeds it ------------------------------------------------------------------------------------------------

    def upsert(self, kind: Kind, body: Body) -> bool:
        """Take an object as it was at some time; return whether it is newer than what the store had."""
        origin = read_origin(kind, body)
        if self._is_late(origin):
            return False
        old = self.find(kind, *origin.address)
        if old is not None and not _is_newer(origin, old.origin):
            return False
        if old is not None and old.origin.uid != origin.uid:
            self._remember_deletion(old.origin.uid)
        self._deleted.pop(origin.uid, None)
        self._replace(kind, origin.address, old, project(kind, body))
        return True

    def restore(self, kind: Kind, body: Body) -> bool:
        """Take an object as the API server has just listed it, whatever was reported before.

        Its version is lower than the stored one after etcd was restored from a backup.
        """
        origin = read_origin(kind, body)
        old = self.find(kind, *origin.address)
        if old is not None and old.origin == origin:
            return False
        self._deleted.pop(origin.uid, None)
        self._replace(kind, origin.address, old, project(kind, body))
        return True

    def remove(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        uid: str,
        *,
        certain: bool = True,
        version: str | None = None,
    ) -> bool:
        """Take the deletion of one object; return whether the store had it. Another object of its name stays.

        ``certain``: no later event of this object is taken. It is not certain that an object was deleted if a read did
        not find it: such an answer can be wrong. ``version``: the resourceVersion of the deletion, if it is known. A
        watch with labels also reports an object as deleted that lost them. If it gets them back, its version is higher,
        and it is taken.
        """
        if certain:
            self._remember_deletion(uid, parse_version(version))
        address = (namespace if kind.namespaced else None, name)
        old = self.find(kind, *address)
        if old is None or old.origin.uid != uid:
            return False
        self._replace(kind, address, old, None)
        return True

    def retain(self, kind: Kind, uids: AbstractSet[str], version: str, namespace: str | None = None) -> int:
        """Remove the objects that a complete list, made at a version, did not have; return how many.

        ``namespace``: the list was one of this namespace, and says nothing of the others.
        Objects that are newer than the list stay: they are own writes, for example. Nothing is removed if versions are
        no numbers.
        """
        listed_at = parse_version(version)
        gone = [
            entry.origin
            for entry in self.entries(kind)
            if entry.origin.uid not in uids
            and 0 < entry.origin.version <= listed_at
            and namespace in (None, entry.origin.namespace)
        ]
        return sum([self.remove(kind, *origin.address, origin.uid, version=version) for origin in gone])

    def mark_deleting(self, kind: Kind, namespace: str | None, name: str, uid: str, time: str) -> None:
        """Take note that a child is being deleted, before the event that reports it."""
        old = self._children[kind].entries.get((namespace, name))
        if old is not None and old.origin.uid == uid:
            self._replace(kind, (namespace, name), old, mark_deleting(old, time))

    def synced(self, kind: Kind) -> None:
        """Take note that every object of a kind that existed at the start has been put in."""
        if kind in self._unsynced:
            self._unsynced.discard(kind)
            if self.is_synced:
                for call in self._on_synced:
                    call()

    @property
    def is_synced(self) -> bool:
        """Return whether all kinds are synced: before that, an object may only seem not to exist."""
        return not self._unsynced

    def when_synced(self, call: Callable[[], None]) -> None:
        """Call a function once when all kinds are synced."""
        if self.is_synced:
            call()
        else:
            self._on_synced.append(call)

    def subscribe(self, call: OnChange) -> None:
        """Call a function after each change."""
        self._subscribers.append(call)

    # What reads it ------------------------------------------------------------------------------------------------

    def find(self, kind: Kind, namespace: str | None, name: str) -> Entry | None:
        """Return the entry of an object, or None."""
        entry: Entry | None = self._tables[kind].entries.get((namespace if kind.namespaced else None, name))
        return entry

    def entries(self, kind: Kind) -> Collection[Entry]:
        """Return all entries of a kind; the store must not change meanwhile."""
        return self._tables[kind].entries.values()

    def count(self, kind: Kind) -> int:
        """Return the number of objects of a kind."""
        return len(self._tables[kind].entries)

    def find_job(self, namespace: str | None, name: str) -> StoredJob | None:
        """Return the entry of a FineTuneJob, or None."""
        return self._jobs.entries.get((namespace, name))

    def list_jobs(self, namespace: str | None, labels: Mapping[str, str]) -> list[StoredJob]:
        """Return the FineTuneJobs of a namespace that have all of these labels, or all of them without labels."""
        if not labels:
            return self._jobs.select("namespace", namespace)
        by_label = self._jobs.indices["label"]
        rarest = min(labels.items(), key=lambda pair: len(by_label.find((namespace, *pair))))
        found = self._jobs.select("label", (namespace, *rarest))
        return [job for job in found if labels.items() <= job.labels.items()]

    def list_open_jobs(self, base_model: str) -> list[StoredJob]:
        """Return the FineTuneJobs on a base model that have not ended."""
        return self._jobs.select("open_by_model", base_model)

    def list_servers(self, base_model: str) -> list[StoredResource[Any]]:
        """Return the ModelServers of a base model."""
        return self._servers.select("model", (None, base_model))

    def find_deployment(self, namespace: str | None, name: str) -> StoredResource[Any] | None:
        """Return the entry of an AdapterDeployment, or None."""
        return self._deployments.entries.get((namespace, name))

    def list_tenants(self, namespace: str | None, server: str) -> list[StoredResource[Any]]:
        """Return the AdapterDeployments that name a ModelServer."""
        return self._deployments.select("server", (namespace, server))

    def list_deployments(self, namespace: str | None) -> list[StoredResource[Any]]:
        """Return the AdapterDeployments of a namespace."""
        return self._deployments.select("namespace", namespace)

    def list_clients(self, namespace: str | None) -> list[StoredResource[Any]]:
        """Return the ModelClients of a namespace."""
        return self._clients.select("namespace", namespace)

    def list_children(self, kind: Kind, namespace: str | None, controller: str) -> list[StoredChild]:
        """Return the children of a kind, in a namespace, that the object with a UID controls.

        The namespace counts: in another one, a user of that namespace may have created the object with this UID in it.
        """
        return self._children[kind].select("controller", (namespace, controller))

    def has_open_job(self, namespace: str | None, controller: str) -> bool:
        """Return whether the object with a UID controls a Job in a namespace that has not ended, or does not expire."""
        return any(not child.done for child in self.list_children(JOB, namespace, controller))

    # Inside -------------------------------------------------------------------------------------------------------

    def _replace(self, kind: Kind, address: Address, old: Entry | None, new: Entry | None) -> None:
        self._tables[kind].replace(address, new)
        if isinstance(new, StoredJob) and new.parsed is not None:
            self._parsed.append(new.parsed)
            if len(self._parsed) > PARSED_JOBS:
                self._parsed.popleft().drop()
        for call in self._subscribers:
            call(kind, old, new)

    def _is_late(self, origin: Origin) -> bool:
        """Return whether a version of an object is older than its deletion, as far as that is known."""
        deleted = self._deleted.get(origin.uid)
        return deleted is not None and (deleted == 0 or origin.version <= deleted)

    def _remember_deletion(self, uid: str, version: int = 0) -> None:
        self._deleted[uid] = max(version, self._deleted.get(uid, 0))
        self._deleted.move_to_end(uid)
        while len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)


def _is_newer(new: Origin, old: Origin) -> bool:
    """Return whether a version is newer than the stored one; versions that are no numbers are taken as they come."""
    return new.version > old.version or 0 in {new.version, old.version}


def _list_controllers(child: StoredChild) -> Iterator[Address]:
    if child.controller is not None:
        yield child.origin.namespace, child.controller


def _list_references(found: StoredResource[Any]) -> Iterator[Address]:
    if found.refers_to is not None:
        yield found.refers_to
