"""The statuses of the simulated kubelet, as the operator reads them."""

from __future__ import annotations

import pytest

from scale_bench import kubelet, objects
from tunewright_contracts.phase_result import Outcome
from tunewright_operator.api.labels import Role
from tunewright_operator.domain.job_run import read_pod_run
from tunewright_operator.domain.serving.pods import read_server_pod


def make_pod(container: str) -> dict:
    return {
        "metadata": {"name": "pod", "namespace": "team", "uid": "u"},
        "spec": {"containers": [{"name": container, "image": "i"}]},
    }


def test_a_server_pod_is_ready_at_its_address():
    pod = make_pod("server")
    found = read_server_pod({**pod, "status": kubelet.build_running(pod, "127.16.0.16")})
    assert (found.ip, found.ready, found.problem) == ("127.16.0.16", True, "")


def test_a_trainer_runs_at_its_address():
    pod = make_pod("train")
    found = read_pod_run({**pod, "status": kubelet.build_running(pod, "127.16.0.17")})
    assert (found.running, found.ip) == (True, "127.16.0.17")
    assert found.started_at is not None


@pytest.mark.parametrize(
    ("role", "owner", "container"),
    [(Role.INSPECT, objects.BASE_MODEL, "inspect-base-model"), (Role.PREPARE, "train-0001", "prepare")],
)
def test_an_inspection_and_a_prepare_phase_of_a_training_succeed(role, owner, container):
    pod, result = make_pod(container), kubelet.build_result(role, owner)
    found = read_pod_run({**pod, "status": kubelet.build_ended(pod, result)})
    assert found.result == result
    assert (found.exit_code, found.result.outcome) == (0, Outcome.SUCCEEDED)


@pytest.mark.parametrize(("role", "owner"), [(Role.PREPARE, "new-001"), (Role.TRAIN, "train-0001"), (Role.SERVER, "p")])
def test_other_pods_have_no_result(role, owner):
    assert kubelet.build_result(role, owner) is None
