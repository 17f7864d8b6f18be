"""The trimmed body of a child tells a decision all that the whole body does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from support.store_objects import TIME, build_child, build_condition, build_job, build_server
from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_operator.api.kinds import DEPLOYMENT, JOB, POD, REPLICA_SET
from tunewright_operator.domain.job_run import read_job_run
from tunewright_operator.domain.serving.pods import find_own_pods, read_deployment
from tunewright_operator.manifests.model_server import TEMPLATE_HASH, template_hash
from tunewright_operator.reconcile.evaluations import read_report
from tunewright_operator.store.child_bodies import trim_child

NOW = dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)
CONTAINER = {"name": "train", "image": "trainer:1", "resources": {"limits": {"memory": "8Gi"}}, "env": [{"name": "A"}]}
SERVER_CONTAINER = {**CONTAINER, "name": "server"}
NOISE = {"managedFields": [{"manager": "x"}], "generateName": "x-", "selfLink": "/x"}


def noisy(body: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], **NOISE, **metadata}}


def build_template(container: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container], "volumes": [{"name": "v"}]}}


JOBS = {
    "new": {},
    "suspended": {"spec": {"suspend": True}},
    "failed": {
        "status": {
            "startTime": TIME,
            "conditions": [{**build_condition("Failed", "True", "PodFailurePolicy"), "message": "m"}],
        }
    },
    "complete": {"status": {"startTime": TIME, "active": 0, "conditions": [build_condition("Complete", "True")]}},
}
TERMINATED = {"exitCode": 137, "reason": "OOMKilled", "message": "killed", "startedAt": TIME, "finishedAt": TIME}
PODS = {
    "pending": {
        "phase": "Pending",
        "conditions": [{**build_condition("PodScheduled", "False", "Unschedulable"), "message": "m"}],
    },
    "initializing": {
        "phase": "Pending",
        "containerStatuses": [{"name": "train", "state": {"waiting": {"reason": "PodInitializing"}}}],
        "initContainerStatuses": [{"name": "mesh", "state": {"waiting": {"reason": "ErrImagePull", "message": "m"}}}],
    },
    "running": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "containerStatuses": [{"name": "train", "state": {"running": {"startedAt": TIME}}}],
    },
    "ended": {
        "phase": "Failed",
        "conditions": [build_condition("DisruptionTarget", "True")],
        "containerStatuses": [
            {"name": "train", "image": "x", "state": {"terminated": TERMINATED}},
            {"name": "mesh", "state": {"running": {"startedAt": TIME}}},
        ],
    },
    "evicted": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"},
}


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("pod", PODS)
def test_a_job_with_its_pod_is_read_as_from_whole_bodies(job: str, pod: str):
    fields = JOBS[job]
    spec = {**fields.get("spec", {}), "template": build_template(CONTAINER), "backoffLimit": 0}
    whole = noisy(
        build_child(JOB, "job-train-1", build_job(), spec=spec, status=fields.get("status", {})),
        annotations={"tunewright.dev/attempt": "1"},
    )
    given = {**CONTAINER, "resources": {"limits": {"memory": "4Gi"}}}
    own = noisy(
        build_child(
            POD, "pod", whole | {"kind": "FineTuneJob"}, spec={"containers": [given], "nodeName": "n"}, status=PODS[pod]
        )
    )
    run = read_job_run(whole, [own])
    assert read_job_run(trim_child(JOB, whole), [trim_child(POD, own)]) == run
    assert run.pod is not None
    assert run.pod.changes, "the pod's resources are compared with the template"
    assert run.explain_waiting(NOW) == read_job_run(trim_child(JOB, whole), [trim_child(POD, own)]).explain_waiting(NOW)


def test_a_report_is_read_as_from_a_whole_body():
    report = EvaluationReport(verdict=Verdict.PASS, reason="EvaluationPassed", message="better", candidate="a--2")
    message = report.to_json()
    status = {"containerStatuses": [{"name": "evaluate", "state": {"terminated": {"message": message}}}]}
    pod = build_child(POD, "pod", build_job(), status=status)
    assert read_report(trim_child(POD, pod)) == read_report(pod) == report


def test_a_server_is_read_as_from_whole_bodies():
    server = build_server()
    uid = server["metadata"]["uid"]
    counts = {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 1,
        "updatedReplicas": 2,
        "unavailableReplicas": 1,
    }
    failure = {**build_condition("ReplicaFailure", "True"), "message": "quota"}
    deployment = noisy(
        build_child(DEPLOYMENT, "pool", server, spec={"replicas": 2}, status={**counts, "conditions": [failure]}),
        annotations={TEMPLATE_HASH: "abc"},
    )
    replica_set = noisy(build_child(REPLICA_SET, "pool-1", server, spec={"template": build_template(SERVER_CONTAINER)}))
    replica_set["metadata"]["ownerReferences"] = [
        {"uid": "pool-uid", "controller": True, "kind": "Deployment", "name": "pool"}
    ]
    ended = {
        "name": "server",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": TERMINATED},
    }
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [build_condition("Ready", "True")],
        "containerStatuses": [ended],
    }
    given = {**SERVER_CONTAINER, "resources": {"limits": {"memory": "4Gi"}}}
    pod = noisy(build_child(POD, "pool-pod", server, spec={"containers": [given]}, status=status))
    pod["metadata"]["ownerReferences"] = [{"uid": "pool-1-uid", "controller": True}, {"uid": "other"}]
    found = find_own_pods(uid, deployment, [replica_set], [pod])
    trimmed = trim_child(DEPLOYMENT, deployment)
    assert find_own_pods(uid, trimmed, [trim_child(REPLICA_SET, replica_set)], [trim_child(POD, pod)]) == found
    assert (len(found), found[0].ready, bool(found[0].problem), bool(found[0].changes)) == (1, True, True, True)
    facts = read_deployment(uid, deployment)
    assert facts is not None
    assert facts.refused == "quota"
    assert read_deployment(uid, trimmed) == facts
    assert template_hash(trimmed) == template_hash(deployment) == "abc"


def test_a_trimmed_body_is_smaller():
    whole = noisy(build_child(JOB, "job", build_job(), spec={"template": build_template(CONTAINER)}))
    assert "env" not in str(trim_child(JOB, whole))
    assert "managedFields" not in str(trim_child(JOB, whole))
