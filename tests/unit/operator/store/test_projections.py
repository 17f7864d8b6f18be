"""What is kept of each object, also of one that this operator's version of the API cannot read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.store_objects import (
    BUILDERS,
    TIME,
    build_child,
    build_condition,
    build_deployment,
    build_job,
    build_model,
    build_server,
)
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, JOB, MODEL_SERVER, Kind
from tunewright_operator.runtime.key import Key
from tunewright_operator.store.entries import Origin, StoredChild, StoredJob, StoredResource
from tunewright_operator.store.projections import SELECTORS, STORED_KINDS, mark_deleting, parse_version, project

STALLED = build_condition("Stalled", "True", "RestartsExhausted")


def project_job(succeeded: str = "", **fields: Any) -> StoredJob:
    entry = project(FINE_TUNE_JOB, build_job(succeeded=succeeded, **fields))
    assert isinstance(entry, StoredJob)
    return entry


@pytest.mark.parametrize("kind", STORED_KINDS, ids=str)
def test_the_origin_of_an_entry_is_the_object(kind: Kind):
    body = BUILDERS[kind](version=7)
    metadata = body["metadata"]
    namespace = "team" if kind.namespaced else None
    assert project(kind, body).origin == Origin(namespace, metadata["name"], metadata["uid"], 7)


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("", 0), (None, 0), ("abc", 0), ("-1", 0)])
def test_a_resource_version_is_a_number(text: str | None, number: int):
    assert parse_version(text) == number


def test_only_children_are_selected_by_a_label():
    selected = {"tunewright.dev/managed-by": "tunewright"}
    assert [SELECTORS[kind] for kind in STORED_KINDS] == [{}] * 5 + [selected] * 4


def test_an_unfinished_job_is_kept_without_managed_fields():
    entry = project_job("Unknown", metadata={"labels": {"app": "a"}, "managedFields": [{}], "annotations": {"b": "c"}})
    assert not entry.ended
    assert entry.document is not None
    body = orjson.loads(entry.document)
    assert body["metadata"]["annotations"] == {"b": "c"}
    assert "managedFields" not in body["metadata"]
    assert body["spec"] == build_job()["spec"]
    assert (entry.labels, entry.base_model) == ({"app": "a"}, "model")
    assert entry.selectable is not None
    assert entry.selectable.result is None


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"succeeded": "True"}, True),
        ({"succeeded": "False"}, True),
        ({"succeeded": "Unknown"}, False),
        ({"succeeded": "True", "metadata": {"generation": 2}}, False),
        ({"succeeded": "True", "metadata": {"deletionTimestamp": TIME}}, False),
    ],
    ids=["succeeded", "failed", "running", "edited since", "being deleted"],
)
def test_a_job_has_ended_when_its_loop_has_nothing_left_to_do(fields: dict[str, Any], ended: bool):
    entry = project_job(**fields)
    assert entry.ended is ended
    assert (entry.document is None) is ended


@pytest.mark.parametrize(("restarts", "ended"), [(3, True), (2, False)])
def test_a_job_that_a_raised_limit_continues_has_not_ended(restarts: int, ended: bool):
    status = {
        "observedGeneration": 1,
        "restarts": restarts,
        "conditions": [build_condition("Succeeded", "False"), STALLED],
    }
    assert project_job(status=status).ended is ended


def test_of_an_ended_job_the_selection_keeps_what_it_reads():
    selectable = project_job("True", metadata={"labels": {"app": "a"}}).selectable
    assert selectable is not None
    assert (selectable.name, selectable.uid, selectable.created_at, selectable.labels) == (
        "job",
        "job-uid",
        TIME,
        {"app": "a"},
    )
    assert selectable.result is not None
    assert selectable.adapter is not None


BAD: list[tuple[Kind, dict[str, Any], Any]] = [
    (BASE_MODEL, build_model(spec={}), None),
    (MODEL_SERVER, build_server(spec={"baseModelRef": {"name": "model"}}), (None, "model")),
    (ADAPTER_DEPLOYMENT, build_deployment(spec={"serverRef": {"name": "pool"}}), ("team", "pool")),
    (ADAPTER_DEPLOYMENT, build_deployment(spec={"serverRef": None}), ("team", "")),
]


@pytest.mark.parametrize(("kind", "body", "refers_to"), BAD, ids=[str(row[0]) for row in BAD])
def test_an_unreadable_resource_is_kept_with_what_it_refers_to(kind: Kind, body: dict[str, Any], refers_to: Any):
    entry = project(kind, body)
    assert isinstance(entry, StoredResource)
    assert entry.resource is None
    assert f"{kind} " in entry.problem
    assert entry.metadata.uid == body["metadata"]["uid"]
    assert entry.refers_to == refers_to


def test_an_unreadable_job_is_kept_for_its_loop_to_report():
    entry = project_job(spec={"baseModelRef": {"name": "model"}})
    assert (entry.ended, entry.selectable, entry.base_model) == (False, None, "model")
    assert "FineTuneJob team/job" in entry.problem
    assert entry.document is not None


def test_the_identity_of_a_resource_is_its_metadata_without_managed_fields():
    """A status write must repeat labels, annotations, finalizers and owners."""
    given = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["e"], "ownerReferences": [{"uid": "f"}]}
    entry = project(MODEL_SERVER, build_server(metadata={**given, "managedFields": [{}]}))
    assert isinstance(entry, StoredResource)
    assert entry.identity.items() >= given.items()
    assert "managedFields" not in entry.identity


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"tunewright.dev/kind": "FineTuneJob", "tunewright.dev/name": "a"}, Key(FINE_TUNE_JOB, "team", "a")),
        ({"tunewright.dev/kind": "BaseModel", "tunewright.dev/name": "a"}, Key(BASE_MODEL, None, "a")),
        ({"tunewright.dev/kind": "Deployment", "tunewright.dev/name": "a"}, None),
        ({"tunewright.dev/kind": "FineTuneJob"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_owner_of_a_child_is_in_its_labels(labels: dict[str, str] | None, owner: Key | None):
    child = project(JOB, build_child(JOB, "child", build_job(), metadata={"labels": labels}))
    assert isinstance(child, StoredChild)
    assert child.owner == owner


@pytest.mark.parametrize(
    ("conditions", "ended"),
    [
        (None, False),
        ([("Complete", "True")], True),
        ([("Failed", "True")], True),
        ([("Failed", "False")], False),
        ([("Suspended", "True")], False),
    ],
)
def test_a_job_is_done_when_it_has_ended_and_expires(conditions: list[tuple[str, str]] | None, ended: bool):
    status = {"conditions": [build_condition(*item) for item in conditions]} if conditions else {}
    for spec, done in (({}, False), ({"ttlSecondsAfterFinished": 0}, ended)):
        child = project(JOB, build_child(JOB, "child", build_job(), spec=spec, status=status))
        assert isinstance(child, StoredChild)
        assert child.done is done


def test_a_child_can_be_marked_as_being_deleted():
    child = project(JOB, build_child(JOB, "child", build_job()))
    assert isinstance(child, StoredChild)
    marked = mark_deleting(child, TIME)
    assert marked.origin == child.origin
    assert orjson.loads(marked.document)["metadata"]["deletionTimestamp"] == TIME
    assert mark_deleting(marked, "later") == marked
