"""A ModelServer whose operator is killed after any write or any push ends as it does without the kill."""

from __future__ import annotations

import contextlib
import copy
from functools import partial
from typing import Any

import pytest

from support.clusters.fake_cluster import Crash
from support.clusters.feeds import StoreFeed, UnreliableFeed
from support.examples import spread
from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld
from tunewright_contracts.serving_plan import PLAN_KEY, SignedPlan
from tunewright_operator.api.kinds import CONFIG_MAP, MODEL_CLIENT, MODEL_SERVER, SECRET
from tunewright_operator.cluster import ConflictError
from tunewright_operator.reconcile.signing_keys import SIGNING_KEY_SECRET, SigningKeys
from tunewright_operator.store.auditor import Auditor

SYSTEM = "tunewright-system"
KEYS = [{"id": "a" * 12, "sha256": "1" * 64}, {"id": "b" * 12, "sha256": "2" * 64}]


async def create(world: ServingWorld) -> None:
    """Create the first pool of a new installation: signing key, objects, plan."""
    world.cluster.remove(SECRET, SYSTEM, SIGNING_KEY_SECRET)
    world.cluster.remove(MODEL_SERVER, SERVING, "pool")
    world.put_server()
    world.restart_operator()


async def change_the_template(world: ServingWorld) -> None:
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"]["lora"].update(maxRank=32))


async def hold_the_template(world: ServingWorld) -> None:
    """Change the template of the only pod, first without surge, then with it."""
    await change_the_template(world)
    await world.settle()
    world.cluster.edit(
        MODEL_SERVER,
        SERVING,
        "pool",
        lambda body: body["spec"].update(updateStrategy={"maxSurge": 1, "maxUnavailable": 0}),
    )


async def narrow_what_may_load(world: ServingWorld) -> None:
    """Cause another plan, which is written and pushed."""
    sources = [{"uriPrefix": "s3://models/elsewhere/"}]
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(adapterSources=sources))


async def lose_the_signing_key(world: ServingWorld) -> None:
    world.cluster.remove(SECRET, SYSTEM, SIGNING_KEY_SECRET)
    world.restart_operator()


async def revoke_a_key(world: ServingWorld) -> None:
    """Cause another access list, which is written and pushed."""
    world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", lambda body: body["spec"].update(keys=[KEYS[1]]))


async def conflict(world: ServingWorld) -> None:
    """Give a pod another plan of the same generation."""
    pod = world.pool.servers()[0]
    pod.plan = world.plan.updated(routes=())
    pod.apply(world.plan)


COURSES = {
    "created": (2, create, 8),
    "another template": (2, change_the_template, 4),
    "a held template": (1, hold_the_template, 5),
    "another plan": (2, narrow_what_may_load, 3),
    "a new signing key": (2, lose_the_signing_key, 5),
    "a plan conflict": (2, conflict, 2),
    "a revoked key": (2, revoke_a_key, 3),
}


STARTED: dict[tuple[int, int | None], ServingWorld] = {}
"""By number of replicas and seed of the feed: the world in which every course starts. It never changes."""


async def begin(replicas: int, seed: int | None = None) -> ServingWorld:
    if (replicas, seed) not in STARTED:
        feed = StoreFeed if seed is None else partial(UnreliableFeed, seed=seed)
        world = ServingWorld(feed=feed, replicas=replicas)
        world.put_deployment()
        world.put_client(*KEYS)
        await world.settle()
        await world.promote("first")
        STARTED[replicas, seed] = world
    return STARTED[replicas, seed]


async def play(world: ServingWorld, course: str) -> dict[str, Any]:
    """Play a course to its end; return everything that a killed operator must not change."""
    await COURSES[course][1](world)
    await world.settle()
    status = world.server_status()
    written = SignedPlan.from_json(world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"][PLAN_KEY])
    return {
        "conditions": [(item["type"], item["status"], item["reason"]) for item in status["conditions"]],
        "plan": world.plan.content_hash,
        "signed": (await SigningKeys(world.cluster, SYSTEM).load()).has_signed(written),
        "in force": [pod.plan == world.plan for pod in world.pool.servers()],
        "reported": status["plan"]["generation"] == world.plan.generation,
        "objects": sorted(
            (body["kind"], body["metadata"]["name"])
            for body in world.cluster.bodies(namespace=SERVING)
            # Their names contain counters and a hash of the random signing key.
            if body["kind"] not in {"Pod", "ReplicaSet"}
        ),
        "answers": set(world.ask(10)),
        "keys": [[key.id for client in pod.access.clients for key in client.keys] for pod in world.pool.servers()],
        "client": [(item["type"], item["message"]) for item in world.client_status()["conditions"]],
    }


@pytest.mark.parametrize("course", COURSES)
async def test_an_operator_killed_after_any_write_reaches_the_same_result(course):
    replicas, _, fewest = COURSES[course]
    start = await begin(replicas)
    calm = copy.deepcopy(start)
    expected = await play(calm, course)
    assert expected["in force"] == [True] * replicas
    assert expected["signed"]
    assert expected["answers"] == {None if course == "another plan" else revision_of("first")}
    assert expected["keys"] == [["b" * 12] if course == "a revoked key" else ["a" * 12, "b" * 12]] * replicas
    writes = len(calm.cluster.writes) - len(start.cluster.writes)
    assert writes >= fewest
    for number in range(1, writes + 1):
        world = copy.deepcopy(start)
        world.cluster.crash_after = number
        end = await play(world, course)
        assert world.crashes == 1, number
        assert end == expected, (
            f"killed after write {number}: {calm.cluster.writes[len(start.cluster.writes) + number - 1]}"
        )


@pytest.mark.parametrize("course", COURSES)
async def test_an_operator_killed_after_any_write_reaches_the_same_result_with_an_unreliable_feed(course):
    replicas = COURSES[course][0]
    expected = await play(copy.deepcopy(await begin(replicas)), course)
    start = await begin(replicas, seed=1)
    for number in spread(range(15), 5):
        world = copy.deepcopy(start)
        world.feed.seed(number)
        world.cluster.crash_after = number or None
        end = await play(world, course)
        world.cluster.crash_after = None
        assert end == expected, f"killed after write {number}"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("course", "call"), [("another plan", "push_plan"), ("a revoked key", "push_access")])
async def test_an_operator_killed_after_any_push_reaches_the_same_result(course, call, number):
    start = await begin(2)
    expected = await play(copy.deepcopy(start), course)
    world = copy.deepcopy(start)
    push, pushed = getattr(world.pods, call), []

    async def die(pod, signed):
        await push(pod, signed)
        pushed.append(pod.name)
        if len(pushed) == number:
            raise Crash

    setattr(world.pods, call, die)
    assert await play(world, course) == expected
    assert world.crashes == 1


async def test_a_new_leader_whose_watches_are_late_does_not_undo_a_rollback(world: ServingWorld):
    """A plan has the resourceVersion of the last plan as its precondition, and not those of the deployments."""
    world.put_deployment(rollout={"steps": [{"setWeight": 20}, {"pause": {}}]})
    await world.settle()
    world.put_job("first")
    await world.settle()
    world.annotate("promote", "first")
    await world.settle()
    await world.pass_time(601)
    world.put_job("second")
    world.clock.advance(1)
    await world.settle()
    standby = StoreFeed(world.cluster)
    world.cluster.watchers.remove(standby.receive)
    assert world.targets() == {revision_of("first"): 80, revision_of("second"): 20}
    world.annotate("abort", "second")
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}
    standby.restart = lambda: None
    world.feed = standby
    world.restart_operator()
    async with Auditor(standby.store, world.cluster).running(on_end=lambda: None):
        with contextlib.suppress(ConflictError):  # The status comes after the plan.
            await world.reconcile_server()
    assert world.targets() == {revision_of("first"): 100}
