"""Facts about a server's Deployment and pods, from bodies of the API server."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.server_observations import PLAN, PODS, make_state
from tunewright_contracts.serving_plan import PlanStatus
from tunewright_operator.domain.serving.pods import (
    DeploymentFacts,
    find_own_pods,
    find_pods_without,
    read_deployment,
    read_server_pod,
)

SERVER = "server-uid"


def owned(owner: str | None, **body: Any) -> dict[str, Any]:
    references = [{"uid": owner, "controller": True}] if owner else []
    return {"metadata": {"uid": "d", "generation": 4, "ownerReferences": references}, **body}


@pytest.mark.parametrize(
    ("status", "facts"),
    [
        ({}, DeploymentFacts(updated=False)),
        (
            {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1},
            DeploymentFacts(replicas=2, ready_replicas=1),
        ),
        ({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2}, DeploymentFacts(replicas=2, updated=False)),
        ({"observedGeneration": 4, "replicas": 2, "updatedReplicas": 1}, DeploymentFacts(replicas=2, updated=False)),
        (
            {
                "observedGeneration": 4,
                "conditions": [
                    {"type": "Available", "status": "True", "message": "fine"},
                    {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
                ],
            },
            DeploymentFacts(refused="exceeded quota"),
        ),
        (
            {"observedGeneration": 4, "conditions": [{"type": "ReplicaFailure", "status": "False", "message": "past"}]},
            DeploymentFacts(),
        ),
    ],
)
def test_a_deployments_facts(status: dict[str, Any], facts: DeploymentFacts):
    assert read_deployment(SERVER, owned(SERVER, status=status)) == facts


@pytest.mark.parametrize("deployment", [None, owned(None), owned("another")])
def test_a_deployment_of_another_controller_is_ignored(deployment: dict[str, Any] | None):
    assert read_deployment(SERVER, deployment) is None
    assert find_own_pods(SERVER, deployment, [], []) == ()


@pytest.mark.parametrize(
    ("generation", "status", "lacks"),
    [
        (2, PlanStatus.APPLIED, True),
        (3, PlanStatus.APPLIED, False),
        (4, PlanStatus.APPLIED, False),
        (3, PlanStatus.CONFLICT, False),
        (3, PlanStatus.REFUSED, False),
        (0, PlanStatus.NONE, True),
        (9, PlanStatus.NONE, True),
    ],
)
def test_a_plan_is_missing_in_pods_that_answer_and_have_an_older_one(generation: int, status: PlanStatus, lacks: bool):
    states = {"a": make_state("a", generation, status)}
    assert find_pods_without(PLAN, PODS, states) == (PODS[:1] if lacks else ())


POD = {
    "metadata": {"uid": "u", "namespace": "serving", "name": "pool-1"},
    "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_the_problem_of_the_servers_container_is_reported_wherever_the_kubelet_lists_it():
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    last = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no such model"}}
    ours = {"name": "server", "state": state, "lastState": last}
    proxy = {"name": "a-proxy", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 255}}}
    expected = "CrashLoopBackOff: back-off 5m0s; before that: ended with exit code 1 (Error). no such model"
    for statuses in ([ours], [proxy, ours], [ours, {**proxy, "name": "z"}]):
        assert read_server_pod({**POD, "status": {"containerStatuses": statuses}}).problem == expected
    assert read_server_pod({**POD, "status": {"containerStatuses": [proxy]}}).problem == ""


def test_what_admission_changed_is_read_whether_or_not_the_server_runs():
    asked, given = (
        {"containers": [{"name": "server", "resources": {"limits": {"memory": size}}}]} for size in ("8Gi", "1Gi")
    )
    deployment = owned(SERVER)
    deployment["metadata"]["uid"] = "d"
    replica_set = {
        "metadata": {"uid": "r", "ownerReferences": [{"uid": "d", "controller": True}]},
        "spec": {"template": {"spec": asked}},
    }
    metadata = {**POD["metadata"], "ownerReferences": [{"uid": "r", "controller": True}]}
    killed = {"name": "server", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    failing = {"metadata": metadata, "spec": given, "status": {"containerStatuses": [killed]}}
    (pod,) = find_own_pods(SERVER, deployment, [replica_set], [failing])
    assert "OOMKilled" in pod.problem
    assert "limits.memory is 1Gi instead of 8Gi" in pod.changes
    (fine,) = find_own_pods(
        SERVER, deployment, [replica_set], [{"metadata": metadata, "spec": given, "status": POD["status"]}]
    )
    assert (fine.problem, fine.changes) == ("", pod.changes)


def test_a_pod_is_called_while_it_runs_and_is_ready_until_it_is_deleted():
    pod = read_server_pod(POD)
    assert (pod.ip, pod.ready, pod.problem) == ("10.0.0.1", True, "")
    leaving = read_server_pod({**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert (leaving.ip, leaving.ready) == ("10.0.0.1", False)
    assert read_server_pod({**POD, "status": {**POD["status"], "phase": "Pending"}}).ip == ""
