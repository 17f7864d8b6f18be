"""The access list's way from ModelClients to every replica: written first, pushed at once, never an older one again."""

from __future__ import annotations

import pytest

from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld
from tunewright_contracts.clients.access_list import ACCESS_KEY, AccessList, SignedAccessList
from tunewright_operator.api.kinds import CONFIG_MAP, MODEL_CLIENT

FIRST, SECOND = {"id": "a" * 12, "sha256": "1" * 64}, {"id": "b" * 12, "sha256": "2" * 64}


def set_keys(world: ServingWorld, *keys, **spec) -> None:
    def change(body) -> None:
        body["spec"] |= {"keys": list(keys), **spec}

    world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", change)


def read_list(world: ServingWorld) -> AccessList:
    body = world.cluster.peek(CONFIG_MAP, SERVING, "pool-access")
    return AccessList.from_json(SignedAccessList.from_json(body["data"][ACCESS_KEY]).payload_bytes())


def keys_in_pods(world: ServingWorld) -> list[list[str]]:
    """Return the ids of the keys that each pod accepts."""
    return [
        [key.id for client in pod.access.clients for key in client.keys]
        for pod in world.pods.pods.values()
        if pod.access
    ]


@pytest.fixture
async def world(world: ServingWorld) -> ServingWorld:
    world.put_job("first")
    world.put_deployment()
    world.put_client(FIRST)
    await world.settle()
    return world


async def test_every_replica_knows_the_clients_of_the_tenants_namespaces(world):
    world.put_client(SECOND, namespace="other")  # this namespace serves nothing on the pool
    await world.settle()
    assert keys_in_pods(world) == [[FIRST["id"]]] * 2
    written, status = read_list(world), world.server_status()
    assert status["access"] == {"generation": written.generation, "hash": written.content_hash}
    assert {pod["accessGeneration"] for pod in status["pods"]} == {written.generation}


async def test_a_rotation_and_a_revocation_change_no_plan(world):
    plan = world.plan
    for keys in ((FIRST, SECOND), (SECOND,), ()):
        set_keys(world, *keys)
        await world.settle()
        assert keys_in_pods(world) == [[key["id"] for key in keys]] * 2
    assert world.plan == plan


async def test_a_suspended_and_a_deleted_client_lose_access(world):
    set_keys(world, FIRST, suspended=True)
    await world.settle()
    assert keys_in_pods(world) == [[]] * 2
    set_keys(world, FIRST, suspended=False)
    await world.settle()
    assert keys_in_pods(world) == [[FIRST["id"]]] * 2
    world.cluster.remove(MODEL_CLIENT, SUPPORT, "web")
    await world.settle()
    assert keys_in_pods(world) == [[]] * 2


async def test_a_revocation_while_the_operator_is_away_reaches_the_pods_when_it_returns(world):
    set_keys(world)
    world.restart_operator()
    await world.settle()
    assert keys_in_pods(world) == [[]] * 2


async def test_a_lost_list_is_written_above_every_generation_that_a_pod_has(world):
    set_keys(world, SECOND)
    await world.settle()
    before = read_list(world)
    world.cluster.remove(CONFIG_MAP, SERVING, "pool-access")
    world.restart_operator()
    await world.settle()
    assert read_list(world).generation > before.generation
    assert keys_in_pods(world) == [[SECOND["id"]]] * 2


async def test_nothing_is_written_when_nothing_changes(world):
    generation = read_list(world).generation
    for _ in range(3):
        await world.pass_time(30)
    assert read_list(world).generation == generation
