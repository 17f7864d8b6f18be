"""`write_status`: one write of a changed status, then an Event and a log line for the main condition's transition."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.fine_tune_job import FineTuneJobStatus
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.reconcile.report import write_status


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    cluster.put(
        {
            "apiVersion": "tunewright.dev/v1alpha1",
            "kind": "FineTuneJob",
            "metadata": {"name": "j", "namespace": "ns"},
            "spec": {},
        }
    )
    return cluster


def status_of(**conditions: tuple[str, str, str]) -> FineTuneJobStatus:
    """Return a status with conditions, given as type → (status, reason, message)."""
    time = "2026-01-01T00:00:00Z"
    built: list[dict[str, Any]] = [
        {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": time}
        for name, (status, reason, message) in conditions.items()
    ]
    return FineTuneJobStatus.model_validate({"observedGeneration": 1, "conditions": built})


async def write(cluster: FakeCluster, old: FineTuneJobStatus, new: FineTuneJobStatus) -> None:
    await write_status(cluster, cluster.peek(FINE_TUNE_JOB, "ns", "j"), old, new, "Succeeded")


async def test_an_equal_status_is_not_written(cluster: FakeCluster):
    same = status_of(Succeeded=("Unknown", "Training", "t"))
    await write(cluster, same, same)
    assert (cluster.writes, cluster.events) == ([], [])


async def test_a_transition_of_the_main_condition_is_a_normal_event_with_its_message(cluster: FakeCluster):
    new = status_of(Succeeded=("Unknown", "Training", "Attempt 1 trains."))
    await write(cluster, FineTuneJobStatus(), new)
    assert cluster.peek(FINE_TUNE_JOB, "ns", "j")["status"] == new.to_status()
    assert cluster.events == [("j", "Normal", "Training", "Attempt 1 trains.")]


async def test_an_event_without_a_message_repeats_the_reason(cluster: FakeCluster):
    await write(cluster, FineTuneJobStatus(), status_of(Succeeded=("Unknown", "Training", "")))
    assert cluster.events == [("j", "Normal", "Training", "Training")]


async def test_a_change_of_another_condition_or_of_a_message_alone_is_no_event(cluster: FakeCluster):
    old = status_of(Succeeded=("Unknown", "Training", "a"))
    await write(cluster, old, status_of(Succeeded=("Unknown", "Training", "b"), Trained=("True", "Trained", "")))
    assert len(cluster.writes) == 1
    assert cluster.events == []


@pytest.mark.parametrize(
    ("conditions", "event_type"),
    [
        ({"Succeeded": ("Unknown", "Retrying", "m")}, "Warning"),
        ({"Succeeded": ("Unknown", "SecretNotFound", "m"), "Stalled": ("True", "SecretNotFound", "m")}, "Warning"),
        ({"Succeeded": ("Unknown", "PodPending", "m"), "Reconciling": ("True", "PodPending", "m")}, "Normal"),
        ({"Succeeded": ("True", "Succeeded", "m")}, "Normal"),
        # A pod's reason is none of the operator's, even if it has the same form.
        ({"Succeeded": ("Unknown", "FetchRetrying", "m")}, "Normal"),
    ],
)
async def test_an_event_is_a_warning_during_retries_and_when_a_user_must_act(
    cluster: FakeCluster, conditions: dict[str, tuple[str, str, str]], event_type: str
):
    await write(cluster, FineTuneJobStatus(), status_of(**conditions))
    assert [event[1] for event in cluster.events] == [event_type]
