"""What admission did to the pods of Jobs, from the bodies of Events, Jobs and pods."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.domain.pod_admission import describe_changes, read_refusals

QUOTA = 'pods "j-prepare-1-x7x2k" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4'
LIMIT = 'pods "j-prepare-1-9hq4d" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'


def event(message: str, uid: str = "j", **times: Any) -> dict[str, Any]:
    metadata = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "involvedObject": {"uid": uid}, "message": message, **times}


@pytest.mark.parametrize(
    ("events", "refusals"),
    [
        pytest.param([], {}, id="no Event"),
        pytest.param([event(f"Error creating: {QUOTA}")], {"j": QUOTA}, id="a quota"),
        pytest.param(
            [
                event(f"Error creating: {LIMIT}", lastTimestamp="2026-01-01T00:05:00Z"),
                event(f"Error creating: {QUOTA}", lastTimestamp="2026-01-01T00:04:00Z"),
            ],
            {"j": LIMIT},
            id="the newest of two",
        ),
        pytest.param(
            [
                event("Error creating: old", eventTime="2026-01-01T00:01:00.000000Z", lastTimestamp=None),
                event("Error creating: new", series={"count": 2, "lastObservedTime": "2026-01-01T00:02:00.000000Z"}),
            ],
            {"j": "new"},
            id="an Event of the newer API",
        ),
        pytest.param([event("")], {"j": ""}, id="an Event without a message"),
        pytest.param([event(QUOTA), event(LIMIT, uid="k")], {"j": QUOTA, "k": LIMIT}, id="two Jobs"),
        pytest.param([{**event(QUOTA), "involvedObject": {}}], {}, id="an Event about nothing"),
    ],
)
def test_the_newest_refusal_is_read_in_the_api_servers_words(events: list[dict[str, Any]], refusals: dict[str, str]):
    assert read_refusals(events) == refusals


def spec(**resources: dict[str, str]) -> dict[str, Any]:
    proxy = {"name": "a-proxy", "resources": {"limits": {"memory": "64Mi"}}}
    return {"spec": {"containers": [proxy, {"name": "train", "resources": resources}]}}


@pytest.mark.parametrize(
    ("asked", "given", "changes"),
    [
        (spec(), spec(), []),
        (spec(limits={"memory": "8Gi"}), spec(limits={"memory": "8Gi"}), []),
        (spec(limits={"memory": "8Gi"}), spec(limits={"memory": "8Gi"}, requests={"memory": "8Gi"}), []),
        (spec(), spec(limits={"memory": "512Mi"}), ["limits.memory is 512Mi instead of unset"]),
        (
            spec(limits={"memory": "8Gi"}, requests={"cpu": "4"}),
            spec(limits={"memory": "1Gi"}, requests={"cpu": "100m", "memory": "1Gi"}),
            ["limits.memory is 1Gi instead of 8Gi", "requests.cpu is 100m instead of 4"],
        ),
        (
            spec(limits={"memory": "8Gi"}),
            spec(limits={"memory": "8Gi"}, requests={"memory": "2Gi"}),
            ["requests.memory is 2Gi instead of 8Gi"],
        ),
        (spec(limits={"nvidia.com/gpu": "1"}), spec(), ["limits.nvidia.com/gpu is unset instead of 1"]),
    ],
)
def test_changed_resources_of_our_container_are_named(asked: dict[str, Any], given: dict[str, Any], changes: list[str]):
    sentence = describe_changes(asked, given, {"train"})
    assert bool(sentence) is bool(changes)
    assert sentence.count(" instead of ") == len(changes)
    assert all(change in sentence for change in changes)


@pytest.mark.parametrize(("asked", "given"), [({}, spec(limits={"cpu": "1"})), (spec(limits={"cpu": "1"}), {})])
def test_nothing_is_compared_with_a_body_that_has_no_such_container(asked: dict[str, Any], given: dict[str, Any]):
    assert describe_changes(asked, given, {"train"}) == ""
