"""S3 goes away for a while: nothing is lost, and the message says what is missing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_false, is_true
from tunewright_dev import objectstore

pytestmark = pytest.mark.e2e

STORE = ["-n", objectstore.NAMESPACE]


@contextlib.contextmanager
def outage(kubectl: Kubectl) -> Iterator[None]:
    """Take the object store away."""
    kubectl.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=0")
    try:
        kubectl.run(*STORE, "wait", "pod", "-l", "app.kubernetes.io/name=seaweedfs", "--for=delete", "--timeout=60s")
        yield
    finally:
        kubectl.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=1")
        kubectl.run(*STORE, "rollout", "status", "deployment/seaweedfs", "--timeout=120s")


def ended(body: Body) -> bool:
    return is_true(body, "Succeeded") or is_false(body, "Succeeded")


def test_two_minutes_without_the_object_store_cost_a_training_nothing(
    platform: Kubectl, team: str, bucket: Bucket
) -> None:
    job = build_job("steady", team)
    job["spec"]["training"] |= {"maxSteps": 4000, "checkpointSteps": 50}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    progress: list[int] = []

    def beyond(step: int) -> Callable[[Body], bool]:
        def holds(body: Body) -> bool:
            progress.append(body.get("status", {}).get("progress", {}).get("step", 0))
            return progress[-1] >= step

        return holds

    platform.wait_for("ftj", "steady", team, beyond(60), timeout=300)
    with outage(platform):
        before = progress[-1]
        time.sleep(120)
        platform.wait_for("ftj", "steady", team, beyond(before + 1), timeout=60)
    platform.patch("ftj", "steady", team, {"spec": {"suspend": True}})
    body = platform.wait_for(
        "ftj", "steady", team, lambda body: body["status"].get("phase") == "Suspended", timeout=120
    )
    assert (body["status"]["attempt"], body["status"].get("restarts", 0)) == (1, 0)
    kept = [key for key in bucket.keys(f"adapters/{team}/runs/") if key.endswith("/COMPLETE")]
    assert max(int(key.split("/")[-2].rpartition("-")[2]) for key in kept) > before


def test_job_waits_for_the_object_store(platform: Kubectl, team: str) -> None:
    with outage(platform):
        platform.apply(build_dataset("data", team, build_records(40)), build_job("patient", team))

        def told(body: Body) -> bool:
            return "AWS_ENDPOINT_URL_S3" in str(body.get("status", {}).get("conditions"))

        body = platform.wait_for("ftj", "patient", team, told, timeout=180)
        assert not is_false(body, "Succeeded") or condition(body, "Succeeded")["reason"] != "RestartsExhausted"
    body = platform.wait_for("ftj", "patient", team, ended, timeout=600)
    assert is_true(body, "Succeeded"), condition(body, "Succeeded")
