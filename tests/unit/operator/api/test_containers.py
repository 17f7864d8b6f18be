"""Our containers are found by name among those that others add to a pod."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.containers import JOB_CONTAINERS, SERVER_CONTAINERS, Container, find_container_status

SIDECAR, TRAINER = {"name": "mesh", "ready": True}, {"name": "train", "ready": False}


@pytest.mark.parametrize(
    ("pod", "status"),
    [
        ({}, {}),
        ({"status": {"containerStatuses": None}}, {}),
        ({"status": {"containerStatuses": [SIDECAR]}}, {}),
        ({"status": {"containerStatuses": [SIDECAR, TRAINER]}}, TRAINER),
        ({"status": {"containerStatuses": [TRAINER, SIDECAR]}}, TRAINER),
    ],
)
def test_a_container_is_found_at_any_position(pod: dict[str, Any], status: dict[str, Any]) -> None:
    assert find_container_status(pod, JOB_CONTAINERS) == status
    assert find_container_status(pod, SERVER_CONTAINERS) == {}


def test_every_container_is_one_of_a_job_or_of_a_server() -> None:
    assert set(Container) == JOB_CONTAINERS | SERVER_CONTAINERS
    assert not JOB_CONTAINERS & SERVER_CONTAINERS
