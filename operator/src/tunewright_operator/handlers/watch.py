"""Watch events wake resources: the resource itself, the owner of a child, and those whose decisions depend on it."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping
from typing import Any

import kopf

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    DEPLOYMENT,
    FINE_TUNE_JOB,
    JOB,
    MODEL_SERVER,
    OWN_KINDS,
    POD,
    Kind,
)
from tunewright_operator.runtime.gate import Reconciliations
from tunewright_operator.runtime.key import Key, Urgency

CHILD_KINDS = (JOB, POD, DEPLOYMENT)
"""Kinds of children to watch, by our label. The loops write ConfigMaps, Services and Secrets without watching them."""

Essence = tuple[Any, ...]
"""What a person can change of a resource, and its UID."""


class KnownResources:
    """The essence of each custom resource that exists, by kind and namespace."""

    def __init__(self) -> None:
        self._essences: dict[Kind, dict[str | None, dict[Key, Essence]]] = collections.defaultdict(dict)

    def get(self, key: Key) -> Essence | None:
        """Return a resource's essence at its last event; None if it does not exist."""
        return self._essences[key.kind].get(key.namespace, {}).get(key)

    def put(self, key: Key, essence: Essence) -> None:
        """Record a resource."""
        self._essences[key.kind].setdefault(key.namespace, {})[key] = essence

    def remove(self, key: Key) -> None:
        """Remove a resource, if it is known."""
        namespaces = self._essences[key.kind]
        keys = namespaces.get(key.namespace, {})
        keys.pop(key, None)
        if not keys:
            namespaces.pop(key.namespace, None)

    def list_keys(self, kind: Kind, namespace: str | None = None) -> Iterator[Key]:
        """Yield the resources of a kind, in one namespace or in all."""
        namespaces = self._essences[kind]
        groups = list(namespaces.values()) if namespace is None else [namespaces.get(namespace, {})]
        for keys in groups:
            yield from keys


def build_registry(reconciliations: Reconciliations) -> kopf.OperatorRegistry:
    """Return Kopf's handlers, one for each watched kind."""
    registry = kopf.OperatorRegistry()
    events = WatchEvents(reconciliations)
    for kind in OWN_KINDS:
        _register_own(registry, kind, events)
    for kind in CHILD_KINDS:
        _register_child(registry, kind, events)

    @kopf.on.login(registry=registry, id="login")
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    return registry


class WatchEvents:
    """Handles the events of custom resources and of their children.

    Every status write of a loop causes an event. Such an event must not wake its resource again: only a change of the
    spec, the labels, the annotations or the finalizers does, and a deletion.
    Any event wakes a resource that was abandoned: the API server may have answered, by mistake, that it does not exist.
    """

    def __init__(self, reconciliations: Reconciliations) -> None:
        self._reconciliations = reconciliations
        self._known = KnownResources()

    def handle_own(self, kind: Kind, event_type: str | None, body: Mapping[str, Any]) -> None:
        """Wake or forget a resource, and wake those that read it. The type is None for a listed resource."""
        metadata = body["metadata"]
        key = Key(kind, metadata.get("namespace") if kind.namespaced else None, metadata["name"])
        seen = self._known.get(key)
        if event_type == "DELETED":
            # Kopf orders only the events of one UID: an event of a new resource of the same name may come first.
            if seen is None or seen[0] == metadata.get("uid"):
                self._known.remove(key)
                self._reconciliations.forget(key)
        else:
            essence = _essence(metadata)
            if seen != essence or self._reconciliations.is_abandoned(key):
                self._known.put(key, essence)
                is_first_listing = seen is None and event_type is None
                self._reconciliations.wake(key, Urgency.LISTING if is_first_listing else Urgency.USER)
        self._wake_readers(kind, body, deleted=event_type == "DELETED")

    def handle_child(self, body: Mapping[str, Any]) -> None:
        """Wake the resource that a child's labels name."""
        metadata = body["metadata"]
        child_labels = metadata.get("labels") or {}
        for kind in OWN_KINDS:
            if kind.name == child_labels.get(labels.KIND):
                namespace = metadata.get("namespace") if kind.namespaced else None
                self._wake_known(Key(kind, namespace, child_labels.get(labels.NAME, "")))

    def _wake_readers(self, kind: Kind, body: Mapping[str, Any], *, deleted: bool) -> None:
        """Wake the resources of other kinds whose decisions depend on this one."""
        namespace = body["metadata"].get("namespace")
        if kind == BASE_MODEL:
            self._wake_kind(FINE_TUNE_JOB)
            self._wake_kind(MODEL_SERVER)
        elif kind == FINE_TUNE_JOB:
            ended = body.get("status", {}).get("phase") in {"Succeeded", "Failed"}
            if ended or deleted:
                self._wake_kind(ADAPTER_DEPLOYMENT, namespace)
        elif kind == MODEL_SERVER:
            self._wake_kind(ADAPTER_DEPLOYMENT)
        elif kind == ADAPTER_DEPLOYMENT:
            server = body.get("spec", {}).get("serverRef", {})
            self._wake_known(Key(MODEL_SERVER, server.get("namespace") or namespace, server.get("name", "")))

    def _wake_kind(self, kind: Kind, namespace: str | None = None) -> None:
        for key in self._known.list_keys(kind, namespace):
            self._reconciliations.wake(key, Urgency.CHILD)

    def _wake_known(self, key: Key) -> None:
        if self._known.get(key) is not None:
            self._reconciliations.wake(key, Urgency.CHILD)


def _register_own(registry: kopf.OperatorRegistry, kind: Kind, events: WatchEvents) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"watch-{kind.plural}")
    async def watch_own(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        events.handle_own(kind, event["type"], body)


def _register_child(registry: kopf.OperatorRegistry, kind: Kind, events: WatchEvents) -> None:
    @kopf.on.event(
        kind.group,
        kind.version,
        kind.plural,
        registry=registry,
        id=f"watch-{kind.plural}",
        labels={labels.MANAGED_BY: labels.MANAGED_BY_VALUE},
    )
    async def watch_child(body: kopf.Body, **_: Any) -> None:
        events.handle_child(body)


def _essence(metadata: Mapping[str, Any]) -> Essence:
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(sorted((metadata.get("labels") or {}).items())),
        tuple(sorted((metadata.get("annotations") or {}).items())),
        tuple(metadata.get("finalizers") or ()),
    )
