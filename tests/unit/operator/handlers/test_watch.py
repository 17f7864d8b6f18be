"""Watch events and the loops that they wake."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, Kind
from tunewright_operator.handlers.watch import OwnEvents, build_registry, wake_readers
from tunewright_operator.runtime.wakeups import Key, Wakeups


class Loops:
    def __init__(self) -> None:
        self.running: set[Key] = set()
        self.ensured: list[Key] = []
        self.stopped: list[Key] = []

    def ensure(self, key: Key) -> None:
        self.ensured.append(key)
        self.running.add(key)

    def is_running(self, key: Key) -> bool:
        return key in self.running

    def stop(self, key: Key) -> None:
        self.stopped.append(key)
        self.running.discard(key)


def body(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "job", "namespace": "ns", "uid": "u", "generation": 1, **changes.pop("metadata", {})}
    return {"metadata": metadata, **changes}


def test_a_loop_is_woken_by_all_changes_except_those_of_its_status():
    loops = Loops()
    events = OwnEvents(FINE_TUNE_JOB, loops, Wakeups())
    key = Key(FINE_TUNE_JOB, "ns", "job")
    events.handle(None, body())
    events.handle("MODIFIED", body(status={"phase": "Preparing"}, metadata={"resourceVersion": "9"}))
    assert loops.ensured == [key]
    for change in (
        {"generation": 2},
        {"generation": 2, "annotations": {"tunewright.dev/retry": "x"}},
        {"generation": 2, "labels": {"a": "b"}},
        {"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"generation": 2, "uid": "another"},
    ):
        before = len(loops.ensured)
        events.handle("MODIFIED", body(metadata=change))
        assert len(loops.ensured) == before + 1, change


@pytest.mark.parametrize("event_type", [None, "ADDED", "MODIFIED"])
def test_any_event_starts_a_loop_that_ended_by_mistake(event_type: str | None):
    loops = Loops()
    events = OwnEvents(FINE_TUNE_JOB, loops, Wakeups())
    key = Key(FINE_TUNE_JOB, "ns", "job")
    events.handle("ADDED", body())
    loops.running.clear()  # The API server answered, wrongly, that the resource does not exist.
    events.handle(event_type, body())
    assert loops.ensured == [key, key]


def test_a_deleted_resource_ends_its_loop_and_a_new_one_starts_another():
    loops = Loops()
    events = OwnEvents(BASE_MODEL, loops, Wakeups())
    key = Key(BASE_MODEL, None, "job")
    events.handle("ADDED", body())
    events.handle("DELETED", body())
    assert loops.stopped == [key]
    events.handle("ADDED", body())
    assert loops.ensured == [key, key]


def test_a_late_event_of_a_deletion_does_not_stop_the_successors_loop():
    loops = Loops()
    events = OwnEvents(BASE_MODEL, loops, Wakeups())
    events.handle("ADDED", body())
    events.handle("ADDED", body(metadata={"uid": "another"}))  # Kopf keeps only the events of one uid in order
    events.handle("DELETED", body())
    assert loops.stopped == []


@pytest.mark.parametrize(
    ("kind", "changed", "woken"),
    [
        (BASE_MODEL, body(), {FINE_TUNE_JOB, MODEL_SERVER}),
        (FINE_TUNE_JOB, body(status={"phase": "Training"}), set()),
        (FINE_TUNE_JOB, body(status={"phase": "Succeeded"}), {ADAPTER_DEPLOYMENT}),
        (MODEL_SERVER, body(), {ADAPTER_DEPLOYMENT}),
        (ADAPTER_DEPLOYMENT, body(spec={"serverRef": {"name": "pool"}}), {MODEL_SERVER}),
        (ADAPTER_DEPLOYMENT, body(spec={"serverRef": {"name": "pool", "namespace": "elsewhere"}}), set()),
    ],
)
async def test_readers_are_woken(kind: Kind, changed: dict[str, Any], woken: set[Kind]):
    wakeups = Wakeups()
    keys = [Key(FINE_TUNE_JOB, "ns", "j"), Key(MODEL_SERVER, "ns", "pool"), Key(ADAPTER_DEPLOYMENT, "ns", "a")]
    for key in keys:
        wakeups.register(key)
        await wakeups.wait(key, None)
    wake_readers(wakeups, kind, changed, deleted=False)
    assert {key.kind for key in keys if await wakeups.wait(key, 0)} == woken


def test_kopf_gets_event_handlers_only():
    registry = build_registry(Loops(), Wakeups())
    assert not registry._spawning.get_all_handlers(), "a daemon or timer would put a finalizer on every resource"
    assert not registry._changing.get_all_handlers(), "a change handler would put annotations on every resource"
    assert len(registry._watching.get_all_handlers()) == 7
