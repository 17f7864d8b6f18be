"""Kopf's events go into the store, which wakes the loops."""

from __future__ import annotations

from typing import Any

import kopf

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import OWN_KINDS, Kind
from tunewright_operator.store.child_bodies import CHILD_KINDS
from tunewright_operator.store.feed import Sink


def build_registry(sink: Sink) -> kopf.OperatorRegistry:
    """Return Kopf's handlers, one for each watched kind."""
    registry = kopf.OperatorRegistry()
    for kind in OWN_KINDS:
        _register(registry, kind, sink)
    for kind in CHILD_KINDS:
        _register(registry, kind, sink, {labels.MANAGED_BY: labels.MANAGED_BY_VALUE})

    @kopf.on.login(registry=registry, id="login")
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    return registry


def _register(
    registry: kopf.OperatorRegistry, kind: Kind, sink: Sink, with_labels: dict[str, Any] | None = None
) -> None:
    @kopf.on.event(
        kind.group, kind.version, kind.plural, registry=registry, id=f"watch-{kind.plural}", labels=with_labels
    )
    async def watch(event: kopf.RawEvent, **_: Any) -> None:
        body = event["object"]
        metadata = body["metadata"]
        if event["type"] == "DELETED":
            sink.remove(kind, metadata.get("namespace"), metadata["name"], metadata["uid"])
        else:
            sink.upsert(kind, body)
