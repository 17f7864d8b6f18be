"""The expiry of finished Jobs: how it is set, and what happens if it cannot be."""

from __future__ import annotations

import datetime as dt

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import JOB
from tunewright_operator.cluster import ConflictError, ForbiddenError, UnavailableError
from tunewright_operator.domain.job_run import ExpireJob
from tunewright_operator.reconcile.expiry import JobExpiry

NAMESPACE, NAME = "support", "tickets-train-1"
OWNER = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "tickets", "namespace": NAMESPACE, "uid": "owner-uid"},
}


def put_job(cluster: FakeCluster) -> ExpireJob:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    body = cluster.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"backoffLimit": 0}})
    return ExpireJob(NAME, body["metadata"]["uid"], cluster.clock())


@pytest.mark.parametrize(("passed", "seconds"), [(0, 100), (5000, 5100), (-5, 100)])
async def test_a_job_is_kept_for_some_time_after_it_expires(passed: float, seconds: int) -> None:
    """Kubernetes counts from the end of the Job, which can be long ago if no operator ran."""
    cluster = FakeCluster()
    job = put_job(cluster)
    await JobExpiry(cluster, 100).expire(OWNER, NAMESPACE, job, cluster.clock() + dt.timedelta(seconds=passed))
    assert cluster.peek(JOB, NAMESPACE, NAME)["spec"] == {"backoffLimit": 0, "ttlSecondsAfterFinished": seconds}


async def test_a_job_without_a_known_end_is_kept_from_now_on() -> None:
    cluster = FakeCluster()
    job = ExpireJob(NAME, put_job(cluster).uid, None)
    await JobExpiry(cluster, 100).expire(OWNER, NAMESPACE, job, cluster.clock())
    assert cluster.peek(JOB, NAMESPACE, NAME)["spec"]["ttlSecondsAfterFinished"] == 100


async def test_a_job_that_was_deleted_is_not_created_again() -> None:
    cluster = FakeCluster()
    job = put_job(cluster)
    cluster.remove(JOB, NAMESPACE, NAME)
    with pytest.raises(ConflictError):
        await JobExpiry(cluster, 100).expire(OWNER, NAMESPACE, job, cluster.clock())
    assert cluster.find(JOB, NAMESPACE, NAME) is None


async def test_another_job_of_the_same_name_does_not_expire() -> None:
    cluster = FakeCluster()
    job = put_job(cluster)
    cluster.remove(JOB, NAMESPACE, NAME)
    put_job(cluster)
    await JobExpiry(cluster, 100).expire(OWNER, NAMESPACE, job, cluster.clock())
    assert cluster.peek(JOB, NAMESPACE, NAME)["spec"] == {"backoffLimit": 0}


async def test_a_refused_expiry_is_tried_once_and_reported_by_an_event_of_the_owner() -> None:
    cluster = FakeCluster()
    job, expiry = put_job(cluster), JobExpiry(cluster, 100)
    cluster.fail_next(ForbiddenError("a policy denies it"), "apply")
    await expiry.expire(OWNER, NAMESPACE, job, cluster.clock())
    await expiry.expire(OWNER, NAMESPACE, job, cluster.clock())
    assert cluster.writes == []
    ((name, event_type, reason, message),) = cluster.events
    assert (name, event_type, reason) == ("tickets", "Warning", "JobNotExpired")
    assert message.startswith(f"Job {NAME} has ended and does not expire: a policy denies it. ")


async def test_an_expiry_is_set_later_if_the_api_server_does_not_answer() -> None:
    cluster = FakeCluster()
    job, expiry = put_job(cluster), JobExpiry(cluster, 100)
    cluster.fail_next(UnavailableError("away"), "apply")
    with pytest.raises(UnavailableError):
        await expiry.expire(OWNER, NAMESPACE, job, cluster.clock())
    await expiry.expire(OWNER, NAMESPACE, job, cluster.clock())
    assert cluster.peek(JOB, NAMESPACE, NAME)["spec"]["ttlSecondsAfterFinished"] == 100
