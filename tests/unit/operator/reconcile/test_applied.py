"""Children that are applied server-side: when they or others change them, and again after they were forgotten."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import CONFIG_MAP, Kind
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


def later(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


async def test_an_unchanged_child_is_not_applied_again():
    cluster = RecordingCluster()
    children, child = AppliedChildren(cluster), make_child("pool-server", "pool")
    for turn in range(3):
        await children.apply(child, later(turn * DRIFT_SECONDS))
    assert cluster.applied == ["pool-server"]


def change_data(body: Body) -> None:
    body["data"] = {"key": "theirs"}


def change_labels(body: Body) -> None:
    body["metadata"].setdefault("labels", {})["app"] = "theirs"


def delete(cluster: FakeCluster) -> None:
    cluster.remove(CONFIG_MAP, "serving", "pool-server")


CHANGES: dict[str, Callable[[FakeCluster], object]] = {
    "data": lambda cluster: cluster.edit(CONFIG_MAP, "serving", "pool-server", change_data),
    "labels": lambda cluster: cluster.edit(CONFIG_MAP, "serving", "pool-server", change_labels),
    "deleted": delete,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_child_that_another_client_changed_is_applied_again(change: Callable[[FakeCluster], object]):
    cluster = RecordingCluster()
    children, child = AppliedChildren(cluster), make_child("pool-server", "pool")
    await children.apply(child, NOW)
    change(cluster)
    await children.apply(child, later(DRIFT_SECONDS - 1))
    assert cluster.applied == ["pool-server"], "it was checked too early"
    await children.apply(child, later(DRIFT_SECONDS))
    assert cluster.applied == ["pool-server"] * 2
    assert cluster.peek(CONFIG_MAP, "serving", "pool-server")["data"] == {"key": "1"}
    await children.apply(child, later(2 * DRIFT_SECONDS))
    assert cluster.applied == ["pool-server"] * 2, "the change was corrected"


@pytest.mark.parametrize(("generation", "times"), [(1, 1), (None, 2)])
async def test_the_generation_shows_a_change_of_the_spec_if_there_is_one(generation: int | None, times: int):
    class StatusCluster(RecordingCluster):
        """Another version at each read, as after a change of the status."""

        async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
            return await self._show(await super().read_metadata(kind, namespace, name))

        async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
            return await self._show(await super().apply(body, field_manager)) or {}

        async def _show(self, body: Body | None) -> Body | None:
            shown = {"resourceVersion": str(next(versions)), "generation": generation}
            return None if body is None else {**body, "metadata": {**body["metadata"], **shown}}

    versions = itertools.count(1)
    cluster = StatusCluster()
    children, child = AppliedChildren(cluster), make_child("pool-server", "pool")
    for turn in range(2):
        await children.apply(child, later(turn * DRIFT_SECONDS))
    assert len(cluster.applied) == times


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
