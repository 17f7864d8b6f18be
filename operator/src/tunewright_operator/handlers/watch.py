"""Watch events wake loops: the loop of the resource, of a child's owner, and the loops that read the resource."""

from __future__ import annotations

from collections.abc import Mapping
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
from tunewright_operator.runtime.gate import Loops
from tunewright_operator.runtime.wakeups import Key, Wakeups

CHILD_KINDS = (JOB, POD, DEPLOYMENT)
"""Kinds of children to watch, by our label. The loops write ConfigMaps, Services and Secrets without watching them."""


def build_registry(loops: Loops, wakeups: Wakeups) -> kopf.OperatorRegistry:
    """Return Kopf's handlers, one for each watched kind."""
    registry = kopf.OperatorRegistry()
    for kind in OWN_KINDS:
        _register_own(registry, kind, OwnEvents(kind, loops, wakeups))
    for kind in CHILD_KINDS:
        _register_child(registry, kind, wakeups)

    @kopf.on.login(registry=registry, id="login")
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    return registry


class OwnEvents:
    """Handles the events of one kind of custom resource.

    Every status write of a loop causes an event. Such an event must not wake the loop again: only a change of the
    spec, the labels, the annotations or the finalizers does, and a deletion.
    Any event starts a loop that has ended: the API server may have answered, by mistake, that the resource does not
    exist.
    """

    def __init__(self, kind: Kind, loops: Loops, wakeups: Wakeups) -> None:
        self._kind = kind
        self._loops = loops
        self._wakeups = wakeups
        self._seen: dict[Key, tuple[Any, ...]] = {}

    def handle(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """Start, wake or end the loop of a resource, and wake the loops that read the resource."""
        metadata = body["metadata"]
        key = Key(self._kind, metadata.get("namespace") if self._kind.namespaced else None, metadata["name"])
        if event_type == "DELETED":
            seen = self._seen.get(key)
            # Kopf orders only the events of one UID: an event of a new resource of the same name may come first.
            if seen is None or seen[0] == metadata.get("uid"):
                self._seen.pop(key, None)
                self._loops.stop(key)
        else:
            essence = _essence(metadata)
            if self._seen.get(key) != essence or not self._loops.is_running(key):
                self._seen[key] = essence
                self._loops.ensure(key)
        wake_readers(self._wakeups, self._kind, body, deleted=event_type == "DELETED")


def wake_readers(wakeups: Wakeups, kind: Kind, body: Mapping[str, Any], *, deleted: bool) -> None:
    """Wake the loops of other kinds whose decisions depend on this resource."""
    namespace = body["metadata"].get("namespace")
    if kind == BASE_MODEL:
        wakeups.wake_kind(FINE_TUNE_JOB)
        wakeups.wake_kind(MODEL_SERVER)
    elif kind == FINE_TUNE_JOB:
        ended = body.get("status", {}).get("phase") in {"Succeeded", "Failed"}
        if ended or deleted:
            wakeups.wake_kind(ADAPTER_DEPLOYMENT, namespace)
    elif kind == MODEL_SERVER:
        wakeups.wake_kind(ADAPTER_DEPLOYMENT)
    elif kind == ADAPTER_DEPLOYMENT:
        server = body.get("spec", {}).get("serverRef", {})
        wakeups.wake(Key(MODEL_SERVER, server.get("namespace") or namespace, server.get("name", "")))


def _register_own(registry: kopf.OperatorRegistry, kind: Kind, events: OwnEvents) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"watch-{kind.plural}")
    async def watch_own(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        events.handle(event["type"], body)


def _register_child(registry: kopf.OperatorRegistry, kind: Kind, wakeups: Wakeups) -> None:
    @kopf.on.event(
        kind.group,
        kind.version,
        kind.plural,
        registry=registry,
        id=f"watch-{kind.plural}",
        labels={labels.MANAGED_BY: labels.MANAGED_BY_VALUE},
    )
    async def watch_child(body: kopf.Body, **_: Any) -> None:
        metadata = body["metadata"]
        wakeups.wake_owner(metadata.get("namespace"), metadata.get("labels") or {})


def _essence(metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(sorted((metadata.get("labels") or {}).items())),
        tuple(sorted((metadata.get("annotations") or {}).items())),
        tuple(metadata.get("finalizers") or ()),
    )
