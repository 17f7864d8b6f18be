"""An in-memory `Cluster`: resource versions, uids, garbage collection, server-side apply, and faults on demand.

It behaves as `tunewright_operator.cluster.Cluster` documents, and promises no more. Tests simulate the kubelet and the
Job and Deployment controllers with `put`.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from support.clusters.bodies import Address, address_of, copy_of, decode, encode, get_field, merge, prune, refuse_floats
from support.clusters.stored_objects import StoredObjects
from support.crds.status import check_kstatus
from tunewright_operator.api.kinds import OWN_KINDS, SECRET, Kind, kind_of
from tunewright_operator.cluster import (
    FIELD_MANAGER,
    AlreadyExistsError,
    Bodies,
    Body,
    ClusterError,
    ConflictError,
    InvalidError,
    NotFoundError,
    Propagation,
)
from tunewright_operator.manifests.events import EventType


class Crash(BaseException):
    """The operator process is killed here. It is no Exception, so that no handler catches it."""


class Clock:
    """Virtual time: it changes only by `advance`."""

    def __init__(self, start: str = "2026-01-01T00:00:00Z") -> None:
        self._now = dt.datetime.fromisoformat(start)

    def __call__(self) -> dt.datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += dt.timedelta(seconds=seconds)

    @property
    def text(self) -> str:
        return self._now.strftime("%Y-%m-%dT%H:%M:%SZ")


class FakeCluster:
    """The API server's object store.

    Faults: `crash_after` allows that many more writes and raises `Crash` after the last of them took effect.
    `fail_next` makes matching calls raise a `ClusterError`.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.events: list[tuple[str, str, str, str]] = []
        """(object name, type, reason, message), in order."""
        self.writes: list[tuple[str, Address]] = []
        """(verb, address) of every write that took effect."""
        self.readable_secrets: set[str] = set()
        """Names of Secrets that the operator may read whole; of all others it may read only the metadata."""
        self.page_size = 500
        self.crash_after: int | None = None
        self.on_change: Callable[[Body], None] | None = None
        self.watchers: list[Callable[[str, Body], None]] = []
        """Called with "MODIFIED" or "DELETED" and the object, after each change, as watches are."""
        self._objects = StoredObjects()
        self._managed: dict[tuple[Address, str], Body] = {}
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)
        self._failures: list[tuple[str, str | None, str | None, ClusterError]] = []

    # Users, controllers and kubelets ----------------------------------------------------------------------------

    def put(self, body: Body) -> Body:
        """Store an object, its status included, as another actor; this is not a write of the operator."""
        address = address_of(body)
        stored = copy_of(body)
        old = self._read(address)
        metadata = stored["metadata"]
        if old is None:
            metadata.setdefault("uid", f"00000000-0000-4000-8000-{next(self._uids):012d}")
            metadata.setdefault("creationTimestamp", self.clock.text)
            stored["metadata"] = metadata = {**_first_generation(stored), **metadata}
        else:
            kept = {
                key: old["metadata"][key]
                for key in ("uid", "creationTimestamp", "generation")
                if key in old["metadata"]
            }
            stored["metadata"] = metadata = {**kept, **metadata}
        if old is not None and old.get("spec") != stored.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 1) + 1
        return self._store(address, stored)

    def edit(self, kind: Kind, namespace: str | None, name: str, change: Callable[[Body], None]) -> Body:
        """Change an existing object as another actor."""
        body = self.peek(kind, namespace, name)
        change(body)
        return self.put(body)

    def remove(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Delete an object and its dependents at once, as another actor."""
        self._collect((kind.name, namespace, name))

    def peek(self, kind: Kind, namespace: str | None, name: str) -> Body:
        """Return an object; raise KeyError when it does not exist."""
        return decode(self._objects[kind.name, namespace, name])

    def find(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Return an object, or None when it does not exist."""
        return self._read((kind.name, namespace, name))

    def bodies(self, kind: Kind | None = None, namespace: str | None = None) -> Bodies:
        """Return the objects, of one kind and one namespace if given, ordered by kind, namespace and name."""
        return [decode(data) for data in self.stored(kind, namespace)]

    def stored(self, kind: Kind | None = None, namespace: str | None = None) -> list[bytes]:
        """Return `bodies` as JSON: equal bytes are equal objects."""
        return self._objects.select(kind.name if kind else None, namespace)

    def fail_next(
        self, error: ClusterError, verb: str, kind: Kind | None = None, name: str | None = None, times: int = 1
    ) -> None:
        """Make the next ``times`` calls of a verb (on a kind and a name, when given) raise ``error``."""
        self._failures += [(verb, kind.name if kind else None, name, error)] * times

    # The port --------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        assert kind is not SECRET or name in self.readable_secrets, f"no right to read the data of Secret {name}"
        return self._get("get", kind, namespace, name)

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        body = self._get("read_metadata", kind, namespace, name)
        if body is None:
            return None
        return {
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": body["metadata"],
        }

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        self._maybe_fail("list", (kind.name, namespace, ""))
        wanted = (labels or {}).items()
        return [
            body
            for body in self.bodies(kind, namespace)
            if wanted <= (body["metadata"].get("labels") or {}).items()
            and all(get_field(body, path) == value for path, value in (fields or {}).items())
        ]

    async def list_metadata(self, kind: Kind, labels: Mapping[str, str] | None = None) -> AsyncIterator[Bodies]:
        found = await self.list(kind, labels=labels)
        for start in range(0, len(found), self.page_size):
            yield [{"metadata": body["metadata"]} for body in found[start : start + self.page_size]]

    async def create(self, body: Body) -> Body:
        kind, address = kind_of(body), address_of(body)
        self._maybe_fail("create", address)
        if address in self._objects:
            raise AlreadyExistsError(f"{address} is there already")
        stored = copy_of(body)
        if kind in OWN_KINDS:
            stored.pop("status", None)
        stored["metadata"] |= {
            "uid": f"00000000-0000-4000-8000-{next(self._uids):012d}",
            "creationTimestamp": self.clock.text,
            **_first_generation(stored),
        }
        return self._write("create", address, stored)

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        address = address_of(body)
        self._maybe_fail("apply", address)
        old = self._read(address)
        managed_key = (address, field_manager)
        wanted = copy_of(body)
        wanted["metadata"].pop("resourceVersion", None)
        uid = wanted["metadata"].pop("uid", None)
        if uid is not None and (old is None or old["metadata"]["uid"] != uid):
            raise (ConflictError if old is None else InvalidError)(f"{address} does not have the uid {uid}")
        if old is None:
            created = await self.create(wanted)
            self._managed[managed_key] = wanted
            return created
        merged = merge(prune(old, self._managed.get(managed_key, {}), wanted), wanted)
        self._managed[managed_key] = wanted
        return self._update("apply", address, merged)

    async def replace(self, body: Body) -> Body:
        address = address_of(body)
        self._maybe_fail("replace", address)
        old = self._require(address, body["metadata"]["resourceVersion"])
        stored = copy_of(body)
        if kind_of(body) in OWN_KINDS:
            stored["status"] = old.get("status", {})
        return self._update("replace", address, stored)

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        address = address_of(observed)
        self._maybe_fail("replace_status", address)
        old = self._require(address, observed["metadata"]["resourceVersion"])
        for field in ("labels", "annotations", "finalizers", "ownerReferences"):
            # The API server would take what is missing from the field managers that own it.
            repeated = observed["metadata"].get(field) == old["metadata"].get(field)
            assert repeated, f"a status write must repeat metadata.{field}"
        refuse_floats(status, "status")
        check_kstatus(observed, dict(status))
        return self._update("replace_status", address, {**old, "status": status})

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
        address = (kind.name, namespace, name)
        self._maybe_fail("patch_metadata", address)
        stored = self._require(address, resource_version)
        for field, patch in (("annotations", annotations), ("labels", labels)):
            values = {**(stored["metadata"].get(field) or {}), **(patch or {})}
            stored["metadata"][field] = {key: value for key, value in values.items() if value is not None}
        if finalizers is not None:
            stored["metadata"]["finalizers"] = [*finalizers]
        return self._update("patch_metadata", address, stored)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> bool:
        address = (kind.name, namespace, name)
        self._maybe_fail("delete", address)
        body = self._read(address)
        if body is None:
            return False
        if uid is not None and body["metadata"]["uid"] != uid:
            raise ConflictError(f"{address} has another uid than {uid}")
        if body["metadata"].get("finalizers"):
            if not body["metadata"].get("deletionTimestamp"):
                body["metadata"]["deletionTimestamp"] = self.clock.text
                self._write("delete", address, body)
            return True
        self._collect(address)
        self._count("delete", address)
        return True

    async def emit_event(
        self,
        regarding: Body,
        event_type: EventType,
        reason: str,
        message: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        if not may_write():
            return
        self.events.append((regarding["metadata"]["name"], event_type.value, reason, message))

    # Inside ----------------------------------------------------------------------------------------------------

    def _get(self, verb: str, kind: Kind, namespace: str | None, name: str) -> Body | None:
        address = (kind.name, namespace if kind.namespaced else None, name)
        self._maybe_fail(verb, address)
        return self._read(address)

    def _read(self, address: Address) -> Body | None:
        data = self._objects.get(address)
        return None if data is None else decode(data)

    def _require(self, address: Address, resource_version: str | None) -> Body:
        old = self._read(address)
        if old is None:
            raise NotFoundError(f"{address} does not exist")
        if resource_version is not None and old["metadata"]["resourceVersion"] != resource_version:
            raise ConflictError(f"{address} changed since version {resource_version}")
        return old

    def _update(self, verb: str, address: Address, stored: Body) -> Body:
        stored, old = copy_of(stored), decode(self._objects[address])
        if old.get("spec") != stored.get("spec"):
            stored["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if stored == old:  # as on the real server, an equal write does not change the version
            return old
        return self._write(verb, address, stored)

    def _write(self, verb: str, address: Address, stored: Body) -> Body:
        written = self._store(address, stored)
        if stored["metadata"].get("deletionTimestamp") and not stored["metadata"].get("finalizers"):
            self._collect(address)  # inside the write, so that the object is gone when a crash follows
        self._count(verb, address)
        return written

    def _store(self, address: Address, stored: Body) -> Body:
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[address] = encode(stored)
        if self.on_change:
            self.on_change(decode(self._objects[address]))
        for watch in self.watchers:
            watch("MODIFIED", decode(self._objects[address]))
        return decode(self._objects[address])

    def _count(self, verb: str, address: Address) -> None:
        self.writes.append((verb, address))
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after <= 0:
                self.crash_after = None
                raise Crash(f"after {verb} {address}")

    def _collect(self, address: Address) -> None:
        gone = self._read(address)
        if gone is None:
            return
        del self._objects[address]
        for key in [key for key in self._managed if key[0] == address]:
            del self._managed[key]
        if self.on_change:
            self.on_change(gone)
        for watch in self.watchers:
            watch("DELETED", copy_of(gone))
        owned = [
            child
            for child, data in self._objects.items()
            if any(
                owner["uid"] == gone["metadata"]["uid"]
                for owner in decode(data)["metadata"].get("ownerReferences") or []
            )
        ]
        for child in owned:
            self._collect(child)

    def _maybe_fail(self, verb: str, address: Address) -> None:
        for index, (want_verb, want_kind, want_name, error) in enumerate(self._failures):
            if want_verb == verb and want_kind in {None, address[0]} and want_name in {None, address[2]}:
                del self._failures[index]
                raise error


def refer_to_controller(body: Body) -> Body:
    """Return the owner reference of an object that a controller owns."""
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": True,
    }


def _first_generation(body: Body) -> Body:
    """Return the metadata of a new object that count changes of its spec, if it has one."""
    return {"generation": 1} if "spec" in body else {}
