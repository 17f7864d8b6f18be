"""Watch events and the resources that they wake."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, Kind
from tunewright_operator.handlers.watch import KnownResources, WatchEvents, build_registry
from tunewright_operator.runtime.key import Key, Urgency

JOB = Key(FINE_TUNE_JOB, "ns", "job")
MODEL = Key(BASE_MODEL, None, "job")


class Reconciliations:
    def __init__(self) -> None:
        self.woken: list[tuple[Key, Urgency]] = []
        self.forgotten: list[Key] = []
        self.abandoned: set[Key] = set()

    def wake(self, key: Key, urgency: Urgency) -> None:
        self.woken.append((key, urgency))
        self.abandoned.discard(key)

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)

    def is_abandoned(self, key: Key) -> bool:
        return key in self.abandoned


@pytest.fixture
def reconciliations() -> Reconciliations:
    return Reconciliations()


@pytest.fixture
def events(reconciliations: Reconciliations) -> WatchEvents:
    return WatchEvents(reconciliations)


def body(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "job", "namespace": "ns", "uid": "u", "generation": 1, **changes.pop("metadata", {})}
    return {"metadata": metadata, **changes}


def test_a_resource_is_woken_by_all_changes_except_those_of_its_status(
    events: WatchEvents, reconciliations: Reconciliations
):
    events.handle_own(FINE_TUNE_JOB, None, body())
    status = body(status={"phase": "Preparing"}, metadata={"resourceVersion": "9"})
    events.handle_own(FINE_TUNE_JOB, "MODIFIED", status)
    events.handle_own(FINE_TUNE_JOB, None, status)
    assert reconciliations.woken == [(JOB, Urgency.LISTING)]
    for change in (
        {"generation": 2},
        {"generation": 2, "annotations": {"tunewright.dev/retry": "x"}},
        {"generation": 2, "labels": {"a": "b"}},
        {"generation": 2, "finalizers": ["a"]},
        {"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"generation": 2, "uid": "another"},
    ):
        reconciliations.woken.clear()
        events.handle_own(FINE_TUNE_JOB, "MODIFIED", body(metadata=change))
        assert reconciliations.woken == [(JOB, Urgency.USER)], change


def test_a_created_resource_is_urgent_and_one_listed_at_the_start_is_not(
    events: WatchEvents, reconciliations: Reconciliations
):
    events.handle_own(FINE_TUNE_JOB, None, body())
    events.handle_own(FINE_TUNE_JOB, "ADDED", body(metadata={"name": "new"}))
    events.handle_own(FINE_TUNE_JOB, None, body(metadata={"generation": 2}))  # Changed while the watch was interrupted.
    new = Key(FINE_TUNE_JOB, "ns", "new")
    assert reconciliations.woken == [(JOB, Urgency.LISTING), (new, Urgency.USER), (JOB, Urgency.USER)]


@pytest.mark.parametrize("event_type", [None, "ADDED", "MODIFIED"])
def test_any_event_wakes_a_resource_that_was_abandoned_by_mistake(
    events: WatchEvents, reconciliations: Reconciliations, event_type: str | None
):
    events.handle_own(FINE_TUNE_JOB, "ADDED", body())
    reconciliations.abandoned.add(JOB)
    events.handle_own(FINE_TUNE_JOB, event_type, body())
    events.handle_own(FINE_TUNE_JOB, event_type, body())
    assert [key for key, _ in reconciliations.woken] == [JOB, JOB]


def test_a_deleted_resource_is_forgotten_and_a_new_one_of_its_name_is_woken(
    events: WatchEvents, reconciliations: Reconciliations
):
    events.handle_own(BASE_MODEL, "ADDED", body())
    events.handle_own(BASE_MODEL, "DELETED", body())
    assert reconciliations.forgotten == [MODEL]
    events.handle_own(BASE_MODEL, "ADDED", body())
    assert reconciliations.woken == [(MODEL, Urgency.USER)] * 2


def test_a_late_event_of_a_deletion_does_not_affect_the_successor(
    events: WatchEvents, reconciliations: Reconciliations
):
    events.handle_own(BASE_MODEL, "ADDED", body())
    events.handle_own(BASE_MODEL, "ADDED", body(metadata={"uid": "another"}))
    events.handle_own(BASE_MODEL, "DELETED", body())
    assert reconciliations.forgotten == []


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
def test_readers_are_woken(
    events: WatchEvents, reconciliations: Reconciliations, kind: Kind, changed: dict[str, Any], woken: set[Kind]
):
    for reader in (FINE_TUNE_JOB, MODEL_SERVER, ADAPTER_DEPLOYMENT):
        events.handle_own(reader, None, body(metadata={"name": "pool"}))
    reconciliations.woken.clear()
    events.handle_own(kind, "ADDED", changed)
    readers = {key.kind for key, urgency in reconciliations.woken if urgency is Urgency.CHILD}
    assert readers == woken


@pytest.mark.parametrize(
    ("child_labels", "woken"),
    [
        (labels.build_labels(FINE_TUNE_JOB, "job", labels.Role.TRAIN), [JOB]),
        (labels.build_labels(BASE_MODEL, "job", labels.Role.INSPECT), [MODEL]),
        (labels.build_labels(FINE_TUNE_JOB, "unknown", labels.Role.TRAIN), []),
        ({}, []),
        (None, []),
    ],
)
def test_a_child_wakes_its_owner(
    events: WatchEvents, reconciliations: Reconciliations, child_labels: dict[str, str] | None, woken: list[Key]
):
    events.handle_own(FINE_TUNE_JOB, None, body())
    events.handle_own(BASE_MODEL, None, body())
    reconciliations.woken.clear()
    events.handle_child({"metadata": {"name": "child", "namespace": "ns", "labels": child_labels}})
    assert reconciliations.woken == [(key, Urgency.CHILD) for key in woken]


def test_known_resources_are_listed_by_kind_and_namespace():
    known = KnownResources()
    other = Key(FINE_TUNE_JOB, "other", "job")
    for key in (JOB, other, MODEL):
        known.put(key, ("u",))
    assert list(known.list_keys(FINE_TUNE_JOB)) == [JOB, other]
    assert list(known.list_keys(FINE_TUNE_JOB, "other")) == [other]
    known.remove(other)
    known.remove(other)
    assert known.get(other) is None
    assert known.get(JOB) == ("u",)
    assert list(known.list_keys(FINE_TUNE_JOB, "other")) == []
    assert list(known.list_keys(BASE_MODEL)) == [MODEL]


def test_kopf_gets_event_handlers_only(reconciliations: Reconciliations):
    registry = build_registry(reconciliations)
    assert not registry._spawning.get_all_handlers(), "a daemon or timer would put a finalizer on every resource"
    assert not registry._changing.get_all_handlers(), "a change handler would put annotations on every resource"
    assert len(registry._watching.get_all_handlers()) == 7
