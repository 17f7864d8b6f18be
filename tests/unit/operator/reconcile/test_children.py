"""Children with deterministic names: created once, listed by their controller, and Secrets seen by their labels."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import Clock, FakeCluster, refer_to_controller
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB
from tunewright_operator.cluster import ForbiddenError
from tunewright_operator.domain.job_run import RunState
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.reconcile.children import NameTakenError, ensure_created, list_runs, read_secret_facts

OWNER: dict[str, Any] = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "tickets", "namespace": "team", "uid": "owner-uid"},
}
LABELS = {"tunewright.dev/kind": "FineTuneJob", "tunewright.dev/name": "tickets"}


def build(name: str = "tickets-train-1", *, controller: str | None = "owner-uid", kind: str = "Job") -> dict[str, Any]:
    references = [{"kind": "FineTuneJob", "name": "tickets", "uid": controller, "controller": True}]
    metadata = {
        "name": name,
        "namespace": "team",
        "labels": LABELS,
        "ownerReferences": references if controller else [],
    }
    return {"apiVersion": "batch/v1" if kind == "Job" else "v1", "kind": kind, "metadata": metadata}


async def test_a_child_is_created_once() -> None:
    cluster = FakeCluster()
    await ensure_created(cluster, build())
    before = cluster.peek(JOB, "team", "tickets-train-1")
    await ensure_created(cluster, build())
    assert cluster.peek(JOB, "team", "tickets-train-1") == before
    assert len(cluster.writes) == 1


@pytest.mark.parametrize("controller", [None, "another-uid"])
async def test_a_name_that_another_object_has_is_reported(controller: str | None) -> None:
    cluster = FakeCluster()
    before = cluster.put(build(controller=controller))
    with pytest.raises(NameTakenError, match="Job team/tickets-train-1"):
        await ensure_created(cluster, build())
    assert cluster.peek(JOB, "team", "tickets-train-1") == before


async def test_other_errors_of_the_api_server_are_raised() -> None:
    cluster = FakeCluster()
    cluster.fail_next(ForbiddenError("exceeded quota"), "create", JOB)
    with pytest.raises(ForbiddenError, match="exceeded quota"):
        await ensure_created(cluster, build())


async def test_only_jobs_and_pods_that_the_owner_controls_are_listed() -> None:
    cluster = FakeCluster()
    own = cluster.put({**build(), "status": {"active": 1}})
    cluster.put(build("forged", controller="another-uid"))
    pod = build("pod", kind="Pod") | {"status": {"phase": "Running", "podIP": "10.0.0.7"}}
    pod["metadata"] |= {"ownerReferences": [refer_to_controller(own)]}
    forged = build("forged-pod", kind="Pod") | {"status": {"phase": "Running", "podIP": "10.6.6.6"}}
    cluster.put(pod)
    cluster.put(forged)
    runs = await list_runs(cluster, "team", FINE_TUNE_JOB, OWNER, Clock()())
    assert set(runs) == {"tickets-train-1"}
    run = runs["tickets-train-1"]
    assert (run.uid, run.state) == (own["metadata"]["uid"], RunState.ACTIVE)
    assert run.pod is not None
    assert (run.pod.name, run.pod.ip) == ("pod", "10.0.0.7")


async def test_jobs_of_another_name_or_namespace_are_not_listed() -> None:
    cluster = FakeCluster()
    elsewhere = build()
    elsewhere["metadata"] |= {"namespace": "other"}
    cluster.put(elsewhere)
    other = build("other-train-1")
    other["metadata"] |= {"labels": {**LABELS, "tunewright.dev/name": "other"}}
    cluster.put(other)
    assert await list_runs(cluster, "team", FINE_TUNE_JOB, OWNER, Clock()()) == {}


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (None, SecretFacts(exists=True)),
        ({"tunewright.dev/use": "allowed"}, SecretFacts(exists=True, allowed=True)),
        ({"tunewright.dev/use": "denied"}, SecretFacts(exists=True)),
        ({"other": "allowed"}, SecretFacts(exists=True)),
    ],
)
async def test_a_secret_is_allowed_by_its_label(labels: dict[str, str] | None, facts: SecretFacts) -> None:
    cluster = FakeCluster()
    assert await read_secret_facts(cluster, "team", "s3") == SecretFacts(exists=False)
    metadata = {"name": "s3", "namespace": "team", "labels": labels}
    cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"AWS_REGION": "eA=="}})
    assert await read_secret_facts(cluster, "team", "s3") == facts
