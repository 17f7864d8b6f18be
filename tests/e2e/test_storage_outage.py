"""S3 is unavailable for two minutes: nothing is lost, and the message names the endpoint's setting."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_false, is_true, wait_until
from tunewright_dev.object_store import endpoint as object_store

pytestmark = pytest.mark.e2e

OUTAGE_SECONDS = 120
STORE = ["-n", object_store.NAMESPACE]


@contextlib.contextmanager
def outage(kubectl: Kubectl) -> Iterator[None]:
    """Stop the object store for at least two minutes."""
    kubectl.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=0")
    try:
        kubectl.run(*STORE, "wait", "pod", "-l", "app.kubernetes.io/name=seaweedfs", "--for=delete", "--timeout=60s")
        until = time.monotonic() + OUTAGE_SECONDS
        yield
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        kubectl.run(*STORE, "scale", "deployment/seaweedfs", "--replicas=1")
        kubectl.run(*STORE, "rollout", "status", "deployment/seaweedfs", "--timeout=120s")


def ended(body: Body) -> bool:
    return is_true(body, "Succeeded") or is_false(body, "Succeeded")


def step_of(body: Body) -> int:
    return int(body.get("status", {}).get("progress", {}).get("step", 0))


def beyond(step: int) -> Callable[[Body], bool]:
    return lambda body: step_of(body) > step


def test_jobs_survive_two_minutes_without_the_object_store(platform: Kubectl, team: str, bucket: Bucket) -> None:
    training, beginning = build_job("training", team), build_job("beginning", team)
    training["spec"]["training"] |= {"maxSteps": 20_000, "checkpointSteps": 50}
    platform.apply(build_dataset("data", team, build_records(40)), training)
    before = step_of(platform.wait_for("ftj", "training", team, beyond(60), timeout=300))

    with outage(platform):
        platform.apply(beginning)

        def reported(body: Body) -> bool:
            return "AWS_ENDPOINT_URL_S3" in str(body.get("status", {}).get("conditions"))

        body = platform.wait_for("ftj", "beginning", team, reported, timeout=180)
        assert not is_false(body, "Succeeded"), condition(body, "Succeeded")
    lasted = step_of(platform.wait_for("ftj", "training", team, beyond(before), timeout=60))

    assert lasted > before + 200, "training continued during the outage"

    # The same attempt now stores the steps that it trained during the outage.
    platform.patch("ftj", "training", team, {"spec": {"suspend": True}})
    own = "tunewright.dev/role=train,tunewright.dev/name=training"
    wait_until(lambda: platform.list("pods", team, own) == [], timeout=180)
    body = platform.wait_for(
        "ftj", "training", team, lambda body: body["status"].get("phase") == "Suspended", timeout=60
    )
    assert (body["status"]["attempt"], body["status"].get("restarts", 0)) == (1, 0)
    kept = [key for key in bucket.keys(f"adapters/{team}/runs/") if key.endswith("/COMPLETE")]
    assert max(int(key.split("/")[-2].rpartition("-")[2]) for key in kept) >= lasted

    body = platform.wait_for("ftj", "beginning", team, ended, timeout=600)
    assert is_true(body, "Succeeded"), condition(body, "Succeeded")
    assert body["status"].get("restarts", 0) == 0, "restarts of prepare do not count for training"
