"""A server's plan: read from its ConfigMap, written over the last one, and given to the pods that lack it."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.clusters.fake_pods import FakeServerPods
from support.worlds.server_observations import ACCESS, PLAN
from tunewright_contracts.serving_plan import PLAN_KEY, PodState, ServingPlan
from tunewright_operator.api.kinds import CONFIG_MAP
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import ConflictError
from tunewright_operator.domain.serving.pods import ServerPod, find_pods_without
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.reconcile.signed_documents import (
    ACCESS_LISTS,
    PLANS,
    REREAD_SECONDS,
    Pushed,
    Written,
    WrittenDocuments,
    WrittenPlan,
    push,
)
from tunewright_operator.signing import SigningKey

OWNER: dict[str, Any] = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "pool", "namespace": "serving", "uid": "server-uid"},
}
KEY = SigningKey.generate()


async def write_first(cluster: FakeCluster) -> WrittenPlan:
    return await write_plan(cluster, Written(), PLAN)


async def write_plan(cluster: FakeCluster, last: WrittenPlan, plan: ServingPlan) -> WrittenPlan:
    return await WrittenDocuments(PLANS, cluster, cluster.clock).write(OWNER, last, plan, KEY)


async def read_plan(cluster: FakeCluster, owner: dict[str, Any] = OWNER) -> WrittenPlan:
    return await WrittenDocuments(PLANS, cluster, cluster.clock).read(owner)


async def test_before_the_first_plan_there_is_none() -> None:
    assert await read_plan(FakeCluster()) == Written()


async def test_a_written_plan_is_read_back_with_its_signature() -> None:
    cluster = FakeCluster()
    written = await write_first(cluster)
    assert written.document == PLAN
    assert written.is_signed_by(KEY)
    assert not written.is_signed_by(SigningKey.generate())
    assert await read_plan(cluster) == written
    assert controller_uid(cluster.peek(CONFIG_MAP, "serving", "pool-plan")) == "server-uid"


async def test_the_next_plan_replaces_the_last_one() -> None:
    cluster = FakeCluster()
    last, following = await write_first(cluster), PLAN.updated(generation=9)
    written = await write_plan(cluster, last, following)
    assert written.document == following
    assert await read_plan(cluster) == written


async def test_a_plan_that_another_replica_wrote_meanwhile_is_a_conflict() -> None:
    cluster = FakeCluster()
    stale = await write_first(cluster)
    current = await write_plan(cluster, stale, PLAN.updated(generation=9))
    for last in (Written(), stale):
        with pytest.raises(ConflictError):
            await write_plan(cluster, last, PLAN.updated(generation=8))
    assert await read_plan(cluster) == current


@pytest.mark.parametrize("data", [None, {}, {PLAN_KEY: "{}"}, {PLAN_KEY: "no JSON"}])
async def test_an_unreadable_plan_counts_as_none_and_is_replaced(data: dict[str, str] | None) -> None:
    cluster = FakeCluster()
    await write_first(cluster)
    cluster.edit(CONFIG_MAP, "serving", "pool-plan", lambda body: body.update(data=data))
    last = await read_plan(cluster)
    assert (last.document, last.signed) == (None, None)
    assert last.body is not None
    assert not last.is_signed_by(KEY)
    written = await write_plan(cluster, last, PLAN)
    assert written.document == PLAN


async def test_a_plan_of_another_owner_is_not_read() -> None:
    cluster = FakeCluster()
    await write_first(cluster)
    other = {**OWNER, "metadata": {**OWNER["metadata"], "uid": "another-uid"}}
    with pytest.raises(NameTakenError, match="ConfigMap serving/pool-plan"):
        await read_plan(cluster, other)


@pytest.mark.parametrize("seconds", [REREAD_SECONDS, -3600], ids=["later", "the clock was set back"])
async def test_a_plan_is_read_again_after_a_minute_and_after_a_write_that_failed(seconds: float) -> None:
    cluster = FakeCluster()
    plans = WrittenDocuments(PLANS, cluster, cluster.clock)
    first = await plans.write(OWNER, Written(), PLAN, KEY)
    changed = await write_plan(cluster, first, PLAN.updated(generation=9))
    assert await plans.read(OWNER) is first
    cluster.clock.advance(seconds)
    assert await plans.read(OWNER) == changed
    assert await plans.read(OWNER) is await plans.read(OWNER)
    later = await write_plan(cluster, changed, PLAN.updated(generation=10))
    with pytest.raises(ConflictError):
        await plans.write(OWNER, changed, PLAN.updated(generation=10), KEY)
    assert await plans.read(OWNER) == later


async def test_a_plan_that_was_deleted_is_written_again() -> None:
    cluster = FakeCluster()
    last = await write_first(cluster)
    cluster.remove(CONFIG_MAP, "serving", "pool-plan")
    with pytest.raises(ConflictError):
        await write_plan(cluster, last, PLAN.updated(generation=9))
    assert await read_plan(cluster) == Written()


async def test_a_plan_and_an_access_list_have_a_config_map_each() -> None:
    cluster = FakeCluster()
    await write_first(cluster)
    lists = WrittenDocuments(ACCESS_LISTS, cluster, cluster.clock)
    written = await lists.write(OWNER, Written(), ACCESS, KEY)
    assert written.document == ACCESS
    assert await WrittenDocuments(ACCESS_LISTS, cluster, cluster.clock).read(OWNER) == written
    assert controller_uid(cluster.peek(CONFIG_MAP, "serving", "pool-access")) == "server-uid"
    assert (await read_plan(cluster)).document == PLAN


def make_pods() -> tuple[FakeServerPods, list[ServerPod]]:
    """Return three pods: one without a plan, one that does not answer, and one that does not run yet."""
    pods = FakeServerPods()
    for uid in ("a", "b", "c"):
        pods.add(uid)
    pods.pods["b"].reachable = False
    return pods, [ServerPod(uid, "serving", uid, ip="" if uid == "c" else "10.0.0.1") for uid in ("a", "b", "c")]


def states_of(pods: FakeServerPods) -> dict[str, PodState]:
    return {uid: pod.state() for uid, pod in pods.pods.items() if pod.reachable and uid != "c"}


async def push_plan(
    pods: FakeServerPods, own: list[ServerPod], states: dict[str, PodState], written: WrittenPlan
) -> Pushed:
    return await push(written, own, states, find_pods_without, pods.push_plan)


async def test_a_plan_is_pushed_to_answering_pods_that_lack_it() -> None:
    pods, own = make_pods()
    written = await write_first(FakeCluster())
    pushed = await push_plan(pods, own, states_of(pods), written)
    assert pods.pods["a"].plan == PLAN
    assert (pushed.answered, pushed.failed) == ((own[0],), ())
    assert pods.calls == [("push", "a")]
    assert await push_plan(pods, own, states_of(pods), written) == Pushed()
    assert pods.calls == [("push", "a")]


async def test_a_pod_that_does_not_take_the_plan_is_reported() -> None:
    pods, own = make_pods()
    written = await write_first(FakeCluster())
    states = states_of(pods)
    pods.pods["a"].reachable = False
    assert await push_plan(pods, own, states, written) == Pushed(failed=(own[0],))
