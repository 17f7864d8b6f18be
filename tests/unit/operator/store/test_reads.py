"""The read port: custom resources, children and cached facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.clusters.feeds import StoreFeed
from support.store_objects import Body, build, build_child, build_deployment, build_job, build_model, build_server
from tunewright_operator.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    FINE_TUNE_JOB,
    JOB,
    NAMESPACE,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE_ACCOUNT,
)
from tunewright_operator.api.resource import LabelSelector, NameReference, ResourceError, Storage
from tunewright_operator.cluster import UnavailableError
from tunewright_operator.domain.secrets import ABSENT, StorageFacts, UseFacts
from tunewright_operator.store import store
from tunewright_operator.store.reads import (
    CACHE_SECONDS,
    FRESH_SECONDS,
    REFUSAL_SECONDS,
    REFUSALS_PER_SECOND,
    Ended,
    Observed,
    Reads,
)

ALLOWED = {"tunewright.dev/use": "allowed"}
S3 = Storage(secret_ref=NameReference(name="s3"))


def make_reads(*bodies: Body) -> tuple[FakeCluster, Reads]:
    cluster = FakeCluster()
    for body in bodies:
        cluster.put(body)
    return cluster, StoreFeed(cluster).reads


def test_a_resource_is_found_by_its_name():
    _, reads = make_reads(build_model(), build_server())
    model, server = reads.find_base_model("model"), reads.find_model_server("team", "pool")
    assert model is not None
    assert server is not None
    assert (model.metadata.uid, server.metadata.uid) == ("model-uid", "pool-uid")
    assert (reads.find_base_model("other"), reads.find_model_server("other", "pool")) == (None, None)


OBSERVE: dict[str, tuple[Callable[[Reads], Any], Body]] = {
    "BaseModel": (lambda reads: reads.observe_base_model("model"), build_model()),
    "ModelServer": (lambda reads: reads.observe_model_server("team", "pool"), build_server()),
    "AdapterDeployment": (lambda reads: reads.observe_adapter_deployment("team", "support"), build_deployment()),
}


@pytest.mark.parametrize("kind", OBSERVE)
def test_a_loop_observes_its_resource_with_the_precondition_of_a_status_write(kind: str):
    observe, body = OBSERVE[kind]
    assert observe(make_reads()[1]) is None
    cluster, reads = make_reads(
        {**body, "metadata": {**body["metadata"], "annotations": {"a": "b"}, "managedFields": []}}
    )
    found = observe(reads)
    (stored,) = cluster.bodies()
    assert found.resource.metadata.uid == stored["metadata"]["uid"]
    del stored["metadata"]["managedFields"]
    assert found.body == {"apiVersion": stored["apiVersion"], "kind": kind, "metadata": stored["metadata"]}
    with pytest.raises(ResourceError, match=f"{kind} "):
        observe(make_reads({**body, "spec": {}})[1])


async def test_a_job_is_observed_from_the_store_until_it_has_ended():
    cluster, reads = make_reads(build_job(), build_job("ended", "True"), build_job("bad", spec={}))
    cluster.fail_next(UnavailableError("read from the API server"), "get", times=9)
    found = await reads.observe_fine_tune_job("team", "job")
    assert isinstance(found, Observed)
    assert found.resource.metadata.name == "job"
    assert found.body["metadata"] == cluster.peek(FINE_TUNE_JOB, "team", "job")["metadata"]
    assert await reads.observe_fine_tune_job("team", "ended") == Ended()
    assert await reads.observe_fine_tune_job("team", "other") is None
    with pytest.raises(ResourceError, match="team/bad"):
        await reads.observe_fine_tune_job("team", "bad")


async def test_the_last_jobs_are_kept_parsed_and_the_others_are_parsed_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "PARSED_JOBS", 1)
    jobs = [build_job("a"), build_job("b")]
    cluster, reads = make_reads(*jobs)
    first = [await reads.observe_fine_tune_job("team", name) for name in ("a", "b")]
    again = [await reads.observe_fine_tune_job("team", name) for name in ("a", "b")]
    assert first == again
    kept = [
        a.resource is b.resource
        for a, b in zip(first, again, strict=True)
        if isinstance(a, Observed) and isinstance(b, Observed)
    ]
    assert kept == [False, True]
    newer = cluster.peek(FINE_TUNE_JOB, "team", "b")
    newer["metadata"]["labels"] = {"a": "b"}
    cluster.put(newer)
    changed = await reads.observe_fine_tune_job("team", "b")
    assert isinstance(changed, Observed)
    assert changed.resource.metadata.labels == {"a": "b"}


async def test_an_ended_job_with_an_unfinished_job_is_read_from_the_api_server():
    ended = build_job("ended", "True")
    cluster, reads = make_reads(ended, build_child(JOB, "ended-train-1", ended))
    found = await reads.observe_fine_tune_job("team", "ended")
    assert isinstance(found, Observed)
    assert found.resource.status.adapter is not None
    cluster.watchers.clear()
    cluster.remove(FINE_TUNE_JOB, "team", "ended")
    assert await reads.observe_fine_tune_job("team", "ended") is None


def test_jobs_are_selected_as_kubernetes_selects():
    def labelled(name: str, succeeded: str = "", **labels: str) -> Body:
        return build_job(name, succeeded, metadata={"labels": labels})

    _, reads = make_reads(
        labelled("one", "True", app="a"),
        labelled("two", app="a", tier="x"),
        labelled("three", app="b"),
        build_job("bad", spec={}),
    )

    def select(**selector: Any) -> list[str]:
        found = reads.list_selectable("team", LabelSelector.model_validate(selector))
        return sorted(job.name for job in found)

    assert select(matchLabels={"app": "a"}) == ["one", "two"]
    absent = {"key": "tier", "operator": "DoesNotExist"}
    assert select(matchLabels={"app": "a"}, matchExpressions=[absent]) == ["one"]
    assert select(matchExpressions=[{"key": "app", "operator": "In", "values": ["b"]}]) == ["three"]
    with pytest.raises(ResourceError, match="team/bad"):
        select()
    found = reads.find_selectable("team", "one")
    assert found is not None
    assert found.adapter is not None
    assert reads.find_selectable("other", "one") is None
    with pytest.raises(ResourceError, match="team/bad"):
        reads.find_selectable("team", "bad")


def test_the_users_of_a_base_model_are_named():
    _, reads = make_reads(build_server(), build_job("b"), build_job("a"), build_job("ended", "False"))
    assert reads.list_users("model") == ("ModelServer team/pool", "FineTuneJob team/a", "FineTuneJob team/b")
    assert reads.list_users("other") == ()


def test_tenants_are_listed_by_name_even_if_they_cannot_be_read():
    bad = build_deployment("a", spec={"serverRef": {"name": "pool"}})
    _, reads = make_reads(build_deployment("b"), bad)
    assert [(item.origin.name, item.resource is None) for item in reads.list_tenants("team", "pool")] == [
        ("a", True),
        ("b", False),
    ]


def test_children_are_read_by_their_controller():
    owner, server = build_job(), build_server()
    job = build_child(JOB, "job-train-1", owner)
    pods = [build_child(POD, name, {**owner, "metadata": job["metadata"]}) for name in ("b", "a")]
    _, reads = make_reads(
        owner,
        job,
        *pods,
        build_child(DEPLOYMENT, "pool", server),
        build_child(REPLICA_SET, "pool-1", server),
    )
    assert [item["metadata"]["name"] for item in reads.list_jobs("team", "job-uid")] == ["job-train-1"]
    assert [item["metadata"]["name"] for item in reads.list_pods("team", "job-train-1-uid")] == ["a", "b"]
    assert [item["metadata"]["name"] for item in reads.list_pods("team", "other", "job-train-1-uid")] == ["a", "b"]
    assert reads.list_pods("team") == []
    assert [item["metadata"]["name"] for item in reads.list_replica_sets("team", "pool-uid")] == ["pool-1"]
    deployment = reads.find_deployment("team", "pool")
    assert deployment is not None
    assert deployment["metadata"]["uid"] == "pool-uid"
    assert reads.find_deployment("team", "other") is None


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (None, UseFacts(exists=True)),
        (ALLOWED, UseFacts(exists=True, allowed=True)),
        ({"tunewright.dev/use": "denied"}, UseFacts(exists=True)),
        ({"other": "allowed"}, UseFacts(exists=True)),
    ],
)
async def test_a_secret_is_allowed_by_its_label(labels: dict[str, str] | None, facts: UseFacts):
    cluster, reads = make_reads()
    assert await reads.read_storage_facts("team", S3) == StorageFacts()
    cluster.put(build(SECRET, "s3", metadata={"labels": labels}, data={"AWS_REGION": "eA=="}))
    cluster.clock.advance(FRESH_SECONDS)
    assert await reads.read_storage_facts("team", S3) == StorageFacts(secret=facts)


async def test_an_allowed_secret_is_read_once_a_minute_and_fresh_before_a_job():
    cluster, reads = make_reads(build(SECRET, "s3", metadata={"labels": ALLOWED}))
    assert (await reads.read_storage_facts("team", S3)).secret.allowed
    cluster.put(build(SECRET, "s3"))
    cluster.clock.advance(FRESH_SECONDS)
    assert (await reads.read_storage_facts("team", S3)).secret.allowed
    assert not (await reads.read_storage_facts("team", S3, fresh=True)).secret.allowed
    cluster.put(build(SECRET, "s3", metadata={"labels": ALLOWED}))
    cluster.clock.advance(FRESH_SECONDS)
    assert (await reads.read_storage_facts("team", S3)).secret.allowed, "a user fixed it"


async def test_a_service_account_is_allowed_by_its_label_and_not_by_that_of_a_secret_with_its_name():
    cluster, reads = make_reads(build(SECRET, "s3", metadata={"labels": ALLOWED}))
    both = S3.updated(service_account_name="s3")
    assert await reads.read_storage_facts("team", both) == StorageFacts(UseFacts(exists=True, allowed=True), ABSENT)
    cluster.put(build(SERVICE_ACCOUNT, "s3", metadata={"labels": ALLOWED}))
    cluster.clock.advance(FRESH_SECONDS)
    assert (await reads.read_storage_facts("team", both)).account == UseFacts(exists=True, allowed=True)


async def test_what_a_spec_does_not_name_is_not_read():
    _, reads = make_reads()
    assert await reads.read_storage_facts("team", Storage()) == StorageFacts()


async def test_the_labels_of_a_namespace_are_read_once_a_minute_and_fresh_before_a_job():
    cluster, reads = make_reads(build(NAMESPACE, "team", metadata={"labels": {"a": "1"}}))
    assert await reads.read_namespace_labels("team") == {"a": "1"}
    assert await reads.read_namespace_labels("other") == {}
    cluster.put(build(NAMESPACE, "team", metadata={"labels": {"a": "2"}}))
    cluster.clock.advance(FRESH_SECONDS)
    assert await reads.read_namespace_labels("team") == {"a": "1"}
    assert await reads.read_namespace_labels("team", fresh=True) == {"a": "2"}
    cluster.put(build(NAMESPACE, "team"))
    cluster.clock.advance(CACHE_SECONDS)
    assert await reads.read_namespace_labels("team") == {}


async def test_a_config_map_is_looked_for_again_after_a_short_time():
    cluster, reads = make_reads()
    assert not await reads.has_config_map("team", "data")
    cluster.put(build(CONFIG_MAP, "data"))
    assert not await reads.has_config_map("team", "data")
    cluster.clock.advance(FRESH_SECONDS)
    assert await reads.has_config_map("team", "data")


def build_refusal(uid: str, message: str = "quota", **changes: Any) -> Body:
    about = {"kind": "Job", "name": "j", "uid": uid}
    fields = {"involvedObject": about, "reason": "FailedCreate", "message": f"Error creating: {message}", **changes}
    return build(EVENT, f"event-{uid}", **fields)


@pytest.mark.parametrize(
    ("refused", "uid", "seconds"),
    [
        pytest.param(1, "0", REFUSAL_SECONDS, id="a known refusal"),
        pytest.param(1, "other", FRESH_SECONDS, id="a Job without an Event"),
        pytest.param(600, "0", REFUSAL_SECONDS, id="many"),
        pytest.param(600, "other", 600 / REFUSALS_PER_SECOND, id="a Job without an Event among many"),
        pytest.param(2_000, "0", 2_000 / REFUSALS_PER_SECOND, id="very many"),
    ],
)
async def test_the_events_of_a_namespace_are_listed_again_after_a_time_that_grows_with_their_number(
    refused: int, uid: str, seconds: float
):
    cluster, reads = make_reads(*(build_refusal(str(number)) for number in range(refused)))
    expected = "" if uid == "other" else "quota"
    assert await reads.read_refusal("team", uid) == expected
    cluster.put(build_refusal(uid, "changed"))
    cluster.clock.advance(seconds - 0.01)
    assert await reads.read_refusal("team", uid) == expected
    cluster.clock.advance(0.01)
    assert await reads.read_refusal("team", uid) == "changed"


async def test_only_events_of_jobs_whose_pods_are_refused_are_listed():
    other_kind = {"kind": "ReplicaSet", "name": "r", "uid": "r"}
    cluster, reads = make_reads(
        build_refusal("r", involvedObject=other_kind), build_refusal("c", reason="SuccessfulCreate")
    )
    assert [await reads.read_refusal("team", uid) for uid in ("r", "c")] == ["", ""]
    assert await reads.read_refusal("elsewhere", "j") == ""
    cluster.put(build_refusal("j"))
    cluster.clock.advance(FRESH_SECONDS)
    assert await reads.read_refusal("team", "j") == "quota"
