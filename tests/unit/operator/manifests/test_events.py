"""Events in the form that the API server accepts."""

from __future__ import annotations

import datetime as dt

import pytest

from tunewright_operator.manifests.events import MAX_EVENT_MESSAGE, EventType, build_event

NOW = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
JOB = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "j", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
}
MODEL = {"apiVersion": "tunewright.dev/v1alpha1", "kind": "BaseModel", "metadata": {"name": "smol", "uid": "u"}}


def test_an_event_has_its_object_its_reporter_and_the_given_time():
    event = build_event(
        JOB, EventType.WARNING, "Retrying", "The pod is gone", instance="operator-0", now=NOW, suffix="1a2b"
    )
    assert event["metadata"] == {"name": "j.1a2b", "namespace": "ns"}
    assert event["involvedObject"] == {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "FineTuneJob",
        "name": "j",
        "namespace": "ns",
        "uid": "u",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Retrying", "The pod is gone.")
    assert event["reportingInstance"] == "operator-0"
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-31T12:00:00Z"


def test_an_event_about_a_cluster_scoped_object_lives_in_the_default_namespace():
    event = build_event(MODEL, EventType.NORMAL, "Inspected", "done", instance="operator-0", now=NOW, suffix="1a2b")
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"]["namespace"] is None


def test_a_long_message_is_cut_to_the_limit_of_the_api_server():
    event = build_event(JOB, EventType.NORMAL, "Training", "m" * 2000, instance="operator-0", now=NOW, suffix="1a2b")
    assert len(event["message"]) == MAX_EVENT_MESSAGE
    assert event["message"].endswith("…")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("m" * 253, "m" * 248 + ".1a2b"), ("m" * 247 + "-.x", "m" * 247 + ".1a2b"), ("m.x", "m.x.1a2b")],
)
def test_a_name_is_valid_however_long_that_of_the_object_is(name: str, expected: str):
    body = {**MODEL, "metadata": {"name": name, "uid": "u"}}
    event = build_event(body, EventType.NORMAL, "Inspected", "done", instance="o", now=NOW, suffix="1a2b")
    assert event["metadata"]["name"] == expected
