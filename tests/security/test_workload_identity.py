"""A tenant's pods run with the identity or the credentials of another user."""

from __future__ import annotations

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import PREPARE, World
from tunewright_operator.api.kinds import JOB, SERVICE_ACCOUNT

KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def make_world(**storage):
    return World(storage={"serviceAccountName": "bucket", **storage})


def put_account(world, labels):
    world.cluster.put(
        {
            "apiVersion": SERVICE_ACCOUNT.api_version,
            "kind": SERVICE_ACCOUNT.name,
            "metadata": {"name": "bucket", "namespace": NAMESPACE, "labels": labels},
        }
    )


@pytest.mark.parametrize("labels", [{}, {"tunewright.dev/use": "true"}, {"tunewright.dev/use": ""}])
async def test_pods_do_not_run_as_an_account_that_its_owner_did_not_allow(labels):
    """A user who may create jobs, but no pods, would act as any ServiceAccount of the namespace."""
    world = make_world()
    put_account(world, labels)
    await world.settle()
    assert world.jobs.names() == []
    stalled = world.condition("Stalled")
    assert stalled["reason"] == "ServiceAccountNotAllowed"
    assert "kubectl label serviceaccount bucket" in stalled["message"]


async def test_a_pod_that_runs_as_an_account_has_no_token_for_the_api_server():
    world = make_world()
    put_account(world, {"tunewright.dev/use": "allowed"})
    await world.settle()
    pod = world.cluster.peek(JOB, NAMESPACE, PREPARE)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "bucket"
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountToken" not in str(pod["volumes"])


async def test_keys_of_a_secret_do_not_replace_the_identity_of_the_account():
    """Libraries prefer keys: a user who may write the Secret would choose who the pods are."""
    world = make_world(secretRef={"name": "s3"})
    put_account(world, {"tunewright.dev/use": "allowed"})
    await world.settle()
    (container,) = world.cluster.peek(JOB, NAMESPACE, PREPARE)["spec"]["template"]["spec"]["containers"]
    names = {item["name"] for item in container["env"]}
    assert not names & KEYS
    assert "AWS_ENDPOINT_URL_S3" in names
