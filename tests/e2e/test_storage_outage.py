"""S3 goes away for a while: nothing is lost, and the message says what is missing."""

from __future__ import annotations

import pytest

from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_false, is_true
from tunewright_dev import objectstore

pytestmark = pytest.mark.e2e

STORE = ["-n", objectstore.NAMESPACE]


def test_job_waits_for_the_object_store(platform: Kubectl, team: str) -> None:
    platform.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=0")
    try:
        platform.run(*STORE, "wait", "pod", "-l", "app.kubernetes.io/name=seaweedfs", "--for=delete", "--timeout=60s")
        platform.apply(build_dataset("data", team, build_records(40)), build_job("patient", team))

        def told(body: Body) -> bool:
            return "AWS_ENDPOINT_URL_S3" in str(body.get("status", {}).get("conditions"))

        body = platform.wait_for("ftj", "patient", team, told, timeout=180)
        assert not is_false(body, "Succeeded") or condition(body, "Succeeded")["reason"] != "RestartsExhausted"
    finally:
        platform.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=1")
        platform.run(*STORE, "rollout", "status", "deployment/seaweedfs", "--timeout=120s")
    body = platform.wait_for(
        "ftj", "patient", team, lambda body: is_true(body, "Succeeded") or is_false(body, "Succeeded"), timeout=600
    )
    assert is_true(body, "Succeeded"), condition(body, "Succeeded")
