"""Children with deterministic names: created once, listed by their controller, confirmed before they are decided on."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster, refer_to_controller
from support.clusters.feeds import StoreFeed
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB, POD
from tunewright_operator.api.labels import Role, build_labels
from tunewright_operator.cluster import ConflictError, ForbiddenError
from tunewright_operator.domain.job_run import JobRun, RunState
from tunewright_operator.reconcile.children import NameTakenError, confirm_unchanged, ensure_created, list_runs

LABELS = build_labels(FINE_TUNE_JOB, "tickets", Role.TRAIN)
NAME = "tickets-train-1"


def build(name: str = "tickets-train-1", *, controller: str | None = "owner-uid", kind: str = "Job") -> dict[str, Any]:
    references = [{"kind": "FineTuneJob", "name": "tickets", "uid": controller, "controller": True}]
    metadata = {
        "name": name,
        "namespace": "team",
        "labels": LABELS,
        "ownerReferences": references if controller else [],
    }
    return {"apiVersion": "batch/v1" if kind == "Job" else "v1", "kind": kind, "metadata": metadata}


async def list_own(feed: StoreFeed, namespace: str = "team") -> dict[str, JobRun]:
    return await list_runs(feed.reads, feed.cluster, namespace, "owner-uid", NAME, now=feed.clock())


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
    feed = StoreFeed(cluster)
    runs = await list_own(feed)
    assert set(runs) == {"tickets-train-1"}
    run = runs["tickets-train-1"]
    assert (run.uid, run.state) == (own["metadata"]["uid"], RunState.ACTIVE)
    assert run.pod is not None
    assert (run.pod.name, run.pod.ip) == ("pod", "10.0.0.7")


async def test_jobs_in_another_namespace_are_not_listed() -> None:
    """A user can create a Job with the owner reference of a cluster-scoped BaseModel in a namespace of his own."""
    cluster = FakeCluster()
    elsewhere = build()
    elsewhere["metadata"] |= {"namespace": "other"}
    cluster.put(elsewhere)
    feed = StoreFeed(cluster)
    assert await list_own(feed) == {}
    assert set(await list_own(feed, "other")) == {NAME}


@pytest.mark.parametrize("known", ["nothing", "a running pod"])
async def test_the_pod_of_an_ended_job_is_read_again_if_it_does_not_seem_to_have_ended(known: str) -> None:
    """The watches of Jobs and of pods are independent: otherwise the result would count as lost."""
    cluster = FakeCluster()
    own = cluster.put(build())
    feed = StoreFeed(cluster)
    pod = build("pod", kind="Pod") | {"status": {"phase": "Running"}}
    pod["metadata"] |= {"ownerReferences": [refer_to_controller(own)]}
    if known == "a running pod":
        cluster.put(pod)
    cluster.watchers.clear()
    ended = {"name": "train", "state": {"terminated": {"exitCode": 3, "message": "no data"}}}
    cluster.put(pod | {"status": {"phase": "Failed", "containerStatuses": [ended]}})
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    feed.store.upsert(JOB, cluster.put({**own, "status": {"conditions": [condition]}}))
    run = (await list_own(feed))[NAME]
    assert run.pod is not None
    assert (run.state, run.pod.exit_code, run.pod.last_log_lines) == (RunState.FAILED, 3, "no data")
    assert feed.reads.list_pods("team", own["metadata"]["uid"]), "the answer is in the store"
    cluster.remove(POD, "team", "pod")
    cluster.fail_next(ForbiddenError("read again"), "list", POD)
    assert (await list_own(feed))[NAME] == run, "known to have ended, it is not read again"


async def test_a_resource_that_has_changed_is_read_into_the_store() -> None:
    cluster = FakeCluster()
    observed = cluster.put(build())
    feed = StoreFeed(cluster)
    await confirm_unchanged(feed.cluster, observed)
    cluster.watchers.clear()
    changed = cluster.put({**observed, "spec": {"suspend": True}})
    with pytest.raises(ConflictError, match="Job team/tickets-train-1"):
        await confirm_unchanged(feed.cluster, observed)
    entry = feed.store.find(JOB, "team", NAME)
    assert entry is not None
    assert str(entry.origin.version) == changed["metadata"]["resourceVersion"]
    cluster.remove(JOB, "team", NAME)
    with pytest.raises(ConflictError):
        await confirm_unchanged(feed.cluster, changed)
    assert feed.store.find(JOB, "team", NAME) is None
