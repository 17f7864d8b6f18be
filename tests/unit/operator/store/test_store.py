"""The store keeps the newest version of each object, whatever arrives, and finds objects by its indices."""

from __future__ import annotations

from typing import Any

import pytest

from support.store_objects import BUILDERS, KINDS, build_child, build_deployment, build_job, build_server, fill
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB, POD, Kind
from tunewright_operator.store import store as store_module
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.store import Store

Event = tuple[str, str, int]
"""("put" or "delete", UID, version)"""


def play(store: Store, *events: Event, kind: Kind = FINE_TUNE_JOB) -> tuple[str, int] | None:
    """Return the UID and the version in the store after some events of one name."""
    for what, uid, version in events:
        body = BUILDERS[kind](uid=uid, version=version)
        metadata = body["metadata"]
        if what == "put":
            store.upsert(kind, body)
        else:
            store.remove(kind, metadata.get("namespace"), metadata["name"], uid)
    entry = store.find(kind, body["metadata"].get("namespace"), body["metadata"]["name"])
    return entry and (entry.origin.uid, entry.origin.version)


@pytest.mark.parametrize("kind", STORED_KINDS, ids=str)
@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ([("put", "a", 5)], ("a", 5)),
        ([("put", "a", 5), ("put", "a", 6)], ("a", 6)),
        ([("put", "a", 9), ("put", "a", 10)], ("a", 10)),
        ([("put", "a", 6), ("put", "a", 5)], ("a", 6)),
        ([("put", "a", 5), ("delete", "a", 5)], None),
        ([("put", "a", 5), ("delete", "a", 6), ("put", "a", 4)], None),
        ([("delete", "a", 6), ("put", "a", 5)], None),
        ([("put", "a", 5), ("delete", "a", 6), ("put", "b", 7)], ("b", 7)),
        ([("put", "b", 7), ("delete", "a", 6)], ("b", 7)),
        ([("put", "a", 5), ("put", "b", 7), ("put", "a", 5)], ("b", 7)),
        ([("put", "a", 5), ("put", "b", 7), ("put", "a", 8)], ("b", 7)),
        ([("put", "b", 7), ("put", "a", 5)], ("b", 7)),
        ([("put", "b", 7), ("put", "a", 5), ("delete", "a", 6), ("delete", "b", 8)], None),
    ],
)
def test_the_newest_object_of_a_name_is_kept(kind: Kind, events: list[Event], kept: tuple[str, int] | None):
    assert play(Store(), *events, kind=kind) == kept


def test_a_version_is_compared_as_a_number_and_without_one_each_object_is_taken():
    store = Store()
    for version, kept in (("x1", 0), ("x1", 0), ("7", 7), ("", 0)):
        store.upsert(FINE_TUNE_JOB, build_job(version=version))
        entry = store.find_job("team", "job")
        assert entry is not None
        assert entry.origin.version == kept


def test_a_deletion_that_is_not_certain_can_be_corrected():
    store = fill(Store(), build_job(version=5))
    assert store.remove(FINE_TUNE_JOB, "team", "job", "job-uid", certain=False)
    assert store.upsert(FINE_TUNE_JOB, build_job(version=5))
    assert store.remove(FINE_TUNE_JOB, "team", "job", "job-uid")
    assert not store.upsert(FINE_TUNE_JOB, build_job(version=6))
    assert store.restore(FINE_TUNE_JOB, build_job(version=6))
    assert store.restore(FINE_TUNE_JOB, build_job(version=4)), "etcd was restored from a backup"
    assert not store.restore(FINE_TUNE_JOB, build_job(version=4))
    assert store.upsert(FINE_TUNE_JOB, build_job(version=5))


@pytest.mark.parametrize(
    ("deleted", "version", "taken"),
    [("8", 9, True), ("8", 8, False), ("8", 7, False), (None, 9, False), ("x", 9, False)],
)
def test_an_object_that_gets_its_labels_back_is_taken(deleted: str | None, version: int, taken: bool):
    """A watch with labels reports a child that loses them as deleted, with the version of that change."""
    store = fill(Store(), build_child(JOB, "child", build_job(), version=5))
    store.remove(JOB, "team", "child", "child-uid")
    store.remove(JOB, "team", "child", "child-uid", version=deleted)
    assert store.upsert(JOB, build_child(JOB, "child", build_job(), version=version)) is taken
    if taken:
        assert not store.upsert(JOB, build_child(JOB, "child", build_job(), version=version - 1))
        assert store.retain(JOB, set(), str(version)) == 1, "it lost the labels before a new list"
        assert not store.upsert(JOB, build_child(JOB, "child", build_job(), version=version))
        assert store.upsert(JOB, build_child(JOB, "child", build_job(), version=version + 1))


def test_only_the_last_deletions_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "REMEMBERED_DELETIONS", 2)
    store = Store()
    for uid in ("a", "b", "a", "c"):
        store.remove(FINE_TUNE_JOB, "team", "job", uid)
    assert play(store, ("put", "a", 1)) is None
    assert play(store, ("put", "b", 1)) == ("b", 1)


@pytest.mark.parametrize(
    ("version", "listed", "listed_at", "is_kept"),
    [
        (5, set(), "9", False),
        (9, set(), "9", False),
        (10, set(), "9", True),
        (5, {"a"}, "9", True),
        (5, {"b"}, "9", False),
        (5, set(), "x9", True),
        ("x5", set(), "9", True),
    ],
)
@pytest.mark.parametrize("kind", STORED_KINDS, ids=str)
def test_an_object_that_a_list_does_not_have_is_removed_unless_it_is_newer(
    kind: Kind, version: int | str, listed: set[str], listed_at: str, is_kept: bool
):
    store = Store()
    store.upsert(kind, BUILDERS[kind](uid="a", version=version))
    assert store.retain(kind, listed, listed_at) == (not is_kept)
    assert store.count(kind) == is_kept


@pytest.mark.parametrize(("namespace", "removed"), [("team", 1), ("other", 0), (None, 1)])
def test_a_list_of_a_namespace_says_nothing_of_the_others(namespace: str | None, removed: int):
    store = fill(Store(), build_job(version=5))
    assert store.retain(FINE_TUNE_JOB, set(), "9", namespace) == removed


def test_an_object_that_a_list_did_not_have_does_not_come_back_with_a_late_event():
    store = fill(Store(), build_job(version=5))
    store.retain(FINE_TUNE_JOB, set(), "9")
    assert not store.upsert(FINE_TUNE_JOB, build_job(version=6))


def test_each_change_is_reported_once_with_both_entries():
    store, changes = Store(), []
    store.subscribe(lambda kind, old, new: changes.append((kind, old, new)))
    play(store, ("put", "a", 5), ("put", "a", 5), ("put", "a", 6), ("delete", "z", 7), ("delete", "a", 8))
    versions = [(old and old.origin.version, new and new.origin.version) for _, old, new in changes]
    assert versions == [(None, 5), (5, 6), (6, None)]


def test_the_store_is_synced_when_every_kind_is():
    store, calls = Store(), []
    store.when_synced(lambda: calls.append("early"))
    for kind in KINDS:
        assert not store.is_synced
        assert calls == []
        store.synced(kind)
        store.synced(kind)
    assert store.is_synced
    store.when_synced(lambda: calls.append("late"))
    store.synced(FINE_TUNE_JOB)
    assert calls == ["early", "late"]


def list_names(entries: Any) -> list[str]:
    return sorted(entry.origin.name for entry in entries)


def labelled(name: str, namespace: str = "team", **labels: str) -> dict[str, Any]:
    return build_job(name, namespace=namespace, metadata={"labels": labels})


def test_jobs_are_found_by_labels_in_their_namespace():
    store = fill(
        Store(),
        labelled("one", app="a", tier="x"),
        labelled("two", app="a", tier="y"),
        labelled("three", app="b"),
        labelled("four", namespace="other", app="a"),
    )
    assert list_names(store.list_jobs("team", {})) == ["one", "three", "two"]
    assert list_names(store.list_jobs("team", {"app": "a"})) == ["one", "two"]
    assert list_names(store.list_jobs("team", {"app": "a", "tier": "y"})) == ["two"]
    assert list_names(store.list_jobs("team", {"app": "c"})) == []
    store.upsert(
        FINE_TUNE_JOB,
        {**labelled("two", app="b"), "metadata": {**labelled("two", app="b")["metadata"], "resourceVersion": "2"}},
    )
    assert list_names(store.list_jobs("team", {"app": "a"})) == ["one"]
    assert list_names(store.list_jobs("team", {"app": "b"})) == ["three", "two"]
    store.remove(FINE_TUNE_JOB, "team", "two", "two-uid")
    assert list_names(store.list_jobs("team", {"app": "b"})) == ["three"]


def test_the_users_of_a_base_model_are_its_servers_and_its_jobs_that_have_not_ended():
    other = {**build_job("other")["spec"], "baseModelRef": {"name": "another"}}
    store = fill(
        Store(),
        build_server(),
        build_job("open"),
        build_job("failed", "False"),
        build_job("done", "True"),
        build_job("other", spec=other),
    )
    assert list_names(store.list_open_jobs("model")) == ["open"]
    assert list_names(store.list_open_jobs("another")) == ["other"]
    assert list_names(store.list_servers("model")) == ["pool"]
    assert list_names(store.list_servers("another")) == []


def test_the_tenants_of_a_server_name_it():
    elsewhere = {**build_deployment()["spec"], "serverRef": {"name": "pool", "namespace": "serving"}}
    store = fill(
        Store(),
        build_deployment("here"),
        build_deployment("there", spec=elsewhere),
        build_deployment("bad", spec={"serverRef": {"name": "pool"}}),
    )
    assert list_names(store.list_tenants("team", "pool")) == ["bad", "here"]
    assert list_names(store.list_tenants("serving", "pool")) == ["there"]
    assert list_names(store.list_deployments("team")) == ["bad", "here", "there"]


def test_children_are_found_by_their_controller_in_their_namespace():
    """In another namespace, a user may have created an object with the UID of a resource as its owner."""
    owner = build_job()
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    store = fill(
        Store(),
        owner,
        build_child(JOB, "one", owner, spec={"ttlSecondsAfterFinished": 3600}, status=ended),
        build_child(JOB, "two", owner, namespace="other"),
    )
    assert list_names(store.list_children(JOB, "team", "job-uid")) == ["one"]
    assert list_names(store.list_children(JOB, "other", "job-uid")) == ["two"]
    assert list_names(store.list_children(POD, "team", "job-uid")) == []
    assert not store.has_open_job("team", "job-uid")
    assert store.has_open_job("other", "job-uid")
