"""Kopf's events go into the store."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB, Kind
from tunewright_operator.handlers.watch import build_registry


class Sink:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def upsert(self, kind: Kind, body: Any) -> bool:
        self.calls.append(("upsert", kind, body["metadata"]["name"]))
        return True

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str) -> bool:
        self.calls.append(("remove", kind, namespace, name, uid))
        return True

    def synced(self, kind: Kind) -> None:
        self.calls.append(("synced", kind))


BODY = {"metadata": {"name": "job", "namespace": "ns", "uid": "u"}}


@pytest.mark.parametrize("kind", [FINE_TUNE_JOB, JOB], ids=str)
@pytest.mark.parametrize(
    ("event_type", "call"),
    [
        (None, ("upsert", "job")),
        ("ADDED", ("upsert", "job")),
        ("MODIFIED", ("upsert", "job")),
        ("DELETED", ("remove", "ns", "job", "u")),
    ],
)
async def test_each_event_is_put_into_the_sink(kind: Kind, event_type: str | None, call: tuple[str, ...]):
    sink = Sink()
    registry = build_registry(sink)
    (handler,) = [item for item in registry._watching.get_all_handlers() if item.id == f"watch-{kind.plural}"]
    await handler.fn(event={"type": event_type, "object": BODY})
    assert sink.calls == [(call[0], kind, *call[1:])]


def test_kopf_gets_event_handlers_only():
    registry = build_registry(Sink())
    assert not registry._spawning.get_all_handlers(), "a daemon or timer would put a finalizer on every resource"
    assert not registry._changing.get_all_handlers(), "a change handler would put annotations on every resource"
    assert len(registry._watching.get_all_handlers()) == 8
