"""Children that are applied server-side: when they change, at intervals, and again after they were forgotten."""

from __future__ import annotations

import datetime as dt

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import CONFIG_MAP
from tunewright_operator.cluster import FIELD_MANAGER, Body, UnavailableError
from tunewright_operator.reconcile.applied import DRIFT_SECONDS, AppliedChildren
from tunewright_operator.reconcile.children import NameTakenError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_child(name: str, owner: str, *, namespace: str = "serving", data: str = "1") -> Body:
    """Return a ConfigMap whose controller is the ModelServer with the UID `owner`."""
    reference = {"apiVersion": "tunewright.dev/v1alpha1", "kind": "ModelServer", "name": owner, "uid": owner}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": [{**reference, "controller": True}]},
        "data": {"key": data},
    }


class RecordingCluster(FakeCluster):
    """Records the name of each applied object, since an apply that changes nothing is not a write."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: list[str] = []

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        self.applied.append(body["metadata"]["name"])
        return await super().apply(body, field_manager)


async def test_an_unchanged_child_is_applied_again_only_against_drift():
    cluster = RecordingCluster()
    children, child = AppliedChildren(cluster), make_child("pool-server", "pool")
    await children.apply(child, NOW)
    await children.apply(child, NOW + dt.timedelta(seconds=DRIFT_SECONDS - 1))
    assert cluster.applied == ["pool-server"]
    await children.apply(child, NOW + dt.timedelta(seconds=DRIFT_SECONDS))
    assert cluster.applied == ["pool-server", "pool-server"]


async def test_a_changed_child_is_applied_at_once():
    cluster = RecordingCluster()
    children = AppliedChildren(cluster)
    await children.apply(make_child("pool-server", "pool"), NOW)
    await children.apply(make_child("pool-server", "pool", data="2"), NOW)
    assert cluster.peek(CONFIG_MAP, "serving", "pool-server")["data"] == {"key": "2"}


async def test_an_object_of_another_owner_is_not_applied():
    cluster = RecordingCluster()
    cluster.put(make_child("pool-server", "other"))
    with pytest.raises(NameTakenError, match="ConfigMap serving/pool-server"):
        await AppliedChildren(cluster).apply(make_child("pool-server", "pool"), NOW)
    assert cluster.applied == []


async def test_only_the_children_of_the_deleted_resource_are_forgotten():
    cluster = RecordingCluster()
    children = AppliedChildren(cluster)
    mine = [make_child("pool", "pool"), make_child("pool-server", "pool")]
    others = [make_child("pool-2", "pool-2"), make_child("pool-2-server", "pool-2")]
    for child in (*mine, *others):
        await children.apply(child, NOW)
    cluster.applied.clear()
    children.forget("pool")
    for child in (*mine, *others):
        await children.apply(child, NOW)
    assert cluster.applied == ["pool", "pool-server"]


async def test_an_object_without_a_controller_is_not_applied():
    cluster = RecordingCluster()
    metadata = {"name": "pool-server", "namespace": "serving"}
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "theirs"}})
    with pytest.raises(NameTakenError):
        await AppliedChildren(cluster).apply(make_child("pool-server", "pool"), NOW)
    assert cluster.peek(CONFIG_MAP, "serving", "pool-server")["data"] == {"key": "theirs"}


async def test_a_failed_apply_is_repeated_at_the_next_reconciliation():
    cluster = RecordingCluster()
    children, child = AppliedChildren(cluster), make_child("pool-server", "pool")
    cluster.fail_next(UnavailableError("no answer"), "apply")
    with pytest.raises(UnavailableError):
        await children.apply(child, NOW)
    await children.apply(child, NOW)
    assert cluster.peek(CONFIG_MAP, "serving", "pool-server")["data"] == {"key": "1"}
