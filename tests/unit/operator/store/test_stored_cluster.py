"""What the API server answers to the operator is in the store at once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.clusters.fake_cluster import FakeCluster
from support.clusters.feeds import StoreFeed
from support.store_objects import build_child, build_job, build_model
from tunewright_operator.api.kinds import BASE_MODEL, CONFIG_MAP, FINE_TUNE_JOB, JOB
from tunewright_operator.cluster import ConflictError, NotFoundError, Propagation, UnavailableError
from tunewright_operator.manifests.jobs import build_job_expiry

JOB_BODY = build_child(JOB, "job-train-1", build_job())


class Setting:
    """A cluster with one FineTuneJob and one Job, whose events do not come any more."""

    def __init__(self) -> None:
        self.fake = FakeCluster()
        self.job = self.fake.put(build_job())
        self.child = self.fake.put(JOB_BODY)
        self.feed = StoreFeed(self.fake)
        self.fake.watchers.clear()
        self.cluster = self.feed.cluster

    def version(self, kind: Any = FINE_TUNE_JOB, name: str = "job") -> str | None:
        entry = self.feed.store.find(kind, "team", name)
        return entry and str(entry.origin.version)

    def current(self, kind: Any = FINE_TUNE_JOB, name: str = "job") -> str:
        return str(self.fake.peek(kind, "team", name)["metadata"]["resourceVersion"])

    def child_document(self) -> dict[str, Any]:
        (child,) = self.feed.store.list_children(JOB, "team", "job-uid")
        return orjson.loads(child.document)


async def test_each_write_is_visible_at_once():
    setting = Setting()
    await setting.cluster.replace_status(setting.job, {"phase": "Pending", "observedGeneration": 1})
    assert setting.version() == setting.current() != setting.job["metadata"]["resourceVersion"]
    await setting.cluster.patch_metadata(FINE_TUNE_JOB, "team", "job", labels={"a": "b"})
    assert setting.version() == setting.current()
    await setting.cluster.create(build_child(JOB, "new", build_job()))
    assert setting.version(JOB, "new") == setting.current(JOB, "new")
    await setting.cluster.apply({**setting.child, "spec": {"suspend": True}})
    assert setting.version(JOB, "job-train-1") == setting.current(JOB, "job-train-1")
    await setting.cluster.replace(setting.fake.peek(JOB, "team", "job-train-1") | {"spec": {"suspend": False}})
    assert setting.version(JOB, "job-train-1") == setting.current(JOB, "job-train-1")


async def test_what_is_read_is_visible_at_once():
    setting = Setting()
    changed = setting.fake.put({**setting.job, "spec": {**setting.job["spec"], "suspend": True}})
    assert await setting.cluster.get(FINE_TUNE_JOB, "team", "job") == changed
    assert setting.version() == setting.current()
    setting.fake.remove(FINE_TUNE_JOB, "team", "job")
    assert await setting.cluster.get(FINE_TUNE_JOB, "team", "job") is None
    assert setting.version() is None
    setting.fake.put(build_child(JOB, "new", build_job()))
    await setting.cluster.list(JOB, "team")
    assert setting.version(JOB, "new") == setting.current(JOB, "new")


@pytest.mark.parametrize("verb", ["replace_status", "replace", "patch_metadata"])
@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_after_a_conflict_the_store_has_the_current_object(verb: str, change: str):
    setting = Setting()
    if change == "edited":
        setting.fake.put({**setting.job, "spec": {**setting.job["spec"], "suspend": True}})
    else:
        setting.fake.remove(FINE_TUNE_JOB, "team", "job")
    calls = {
        "replace_status": lambda: setting.cluster.replace_status(
            setting.job, {"phase": "Pending", "observedGeneration": 1}
        ),
        "replace": lambda: setting.cluster.replace(setting.job),
        "patch_metadata": lambda: setting.cluster.patch_metadata(
            FINE_TUNE_JOB, "team", "job", finalizers=[], resource_version=setting.job["metadata"]["resourceVersion"]
        ),
    }
    with pytest.raises((ConflictError, NotFoundError)):
        await calls[verb]()
    assert setting.version() == (setting.current() if change == "edited" else None)


async def test_a_child_that_is_gone_when_it_is_applied_to_by_its_uid_leaves_the_store():
    """Otherwise the loop would meet the same conflict again and again, until the audit."""
    setting = Setting()
    setting.fake.remove(JOB, "team", "job-train-1")
    with pytest.raises(ConflictError):
        await setting.cluster.apply(build_job_expiry("team", "job-train-1", setting.child["metadata"]["uid"], 60))
    assert setting.version(JOB, "job-train-1") is None


async def test_a_conflict_is_reported_even_if_the_object_cannot_be_read():
    setting = Setting()
    setting.fake.put({**setting.job, "spec": {**setting.job["spec"], "suspend": True}})
    setting.fake.fail_next(UnavailableError("no answer"), "get")
    with pytest.raises(ConflictError):
        await setting.cluster.replace_status(setting.job, {"phase": "Pending", "observedGeneration": 1})


async def test_a_deleted_child_is_gone_and_stays_gone():
    setting = Setting()
    uid = setting.child["metadata"]["uid"]
    assert await setting.cluster.delete(JOB, "team", "job-train-1", uid=uid)
    assert setting.version(JOB, "job-train-1") is None
    assert not setting.feed.store.upsert(JOB, setting.child), "a late event does not bring it back"
    again = setting.fake.put({**JOB_BODY, "metadata": {**JOB_BODY["metadata"], "uid": "another"}})
    assert setting.feed.store.upsert(JOB, again)


@pytest.mark.parametrize(
    ("metadata", "propagation"),
    [({}, Propagation.FOREGROUND), ({"finalizers": ["theirs"]}, Propagation.BACKGROUND)],
    ids=["in the foreground", "with a finalizer"],
)
async def test_a_child_that_lingers_is_being_deleted(metadata: dict[str, Any], propagation: Propagation):
    setting = Setting()
    setting.child = setting.fake.put({**setting.child, "metadata": {**setting.child["metadata"], **metadata}})
    setting.feed.store.upsert(JOB, setting.child)
    uid = setting.child["metadata"]["uid"]
    assert await setting.cluster.delete(JOB, "team", "job-train-1", uid=uid, propagation=propagation)
    assert setting.child_document()["metadata"]["deletionTimestamp"] == setting.fake.clock.text


async def test_a_deletion_that_finds_nothing_or_another_object_corrects_the_store():
    setting = Setting()
    uid = setting.child["metadata"]["uid"]
    setting.fake.remove(JOB, "team", "job-train-1")
    assert not await setting.cluster.delete(JOB, "team", "job-train-1", uid=uid)
    assert setting.version(JOB, "job-train-1") is None
    setting = Setting()
    setting.fake.remove(JOB, "team", "job-train-1")
    setting.fake.put({**JOB_BODY, "metadata": {**JOB_BODY["metadata"], "uid": "another"}})
    with pytest.raises(ConflictError):
        await setting.cluster.delete(JOB, "team", "job-train-1", uid=uid)
    assert setting.version(JOB, "job-train-1") == setting.current(JOB, "job-train-1")


async def test_other_kinds_pass_through():
    setting = Setting()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "team"}}
    created = await setting.cluster.create(body)
    assert await setting.cluster.get(CONFIG_MAP, "team", "a") == created
    assert await setting.cluster.list(CONFIG_MAP, "team") == [created]
    metadata = await setting.cluster.read_metadata(CONFIG_MAP, "team", "a")
    assert metadata is not None
    assert metadata["metadata"] == created["metadata"]
    assert await setting.cluster.delete(CONFIG_MAP, "team", "a", uid=created["metadata"]["uid"])
    assert not await setting.cluster.delete(CONFIG_MAP, "team", "a")
    await setting.cluster.create(build_model())
    pages = [page async for page in setting.cluster.list_metadata(BASE_MODEL)]
    assert [item["metadata"]["name"] for page in pages for item in page] == ["model"]
