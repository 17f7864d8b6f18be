"""The status of a ModelClient: its keys reach every replica, or the message names the replicas that lack them."""

import pytest

from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, MODEL_CLIENT, MODEL_SERVER, NAMESPACE
from tunewright_operator.cluster import ConflictError

FIRST, SECOND = {"id": "a" * 12, "sha256": "1" * 64}, {"id": "b" * 12, "sha256": "2" * 64}


@pytest.fixture
async def world(world: ServingWorld) -> ServingWorld:
    world.put_job("first")
    world.put_deployment()
    world.put_client(FIRST)
    await world.settle()
    return world


def edit(world, **spec):
    world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", lambda body: body["spec"].update(spec))


def pod_name(world, index):
    return next(
        pod["metadata"]["name"]
        for pod in world.pool.pods()
        if pod["metadata"]["uid"] == world.pool.servers()[index].uid
    )


def read(world, name="Propagated"):
    found = condition(world.client_status(), name)
    return found.get("status"), found.get("message", "")


async def test_a_new_client_is_known_to_every_replica(world):
    assert read(world) == ("True", "2/2 pods of serving/pool.")
    assert read(world, "Ready") == ("True", f"Valid keys: {'a' * 12}. It can call: support.")
    assert world.client_status()["servers"] == [
        {"namespace": SERVING, "name": "pool", "replicas": 2, "converged": 2},
    ]
    assert [reason for name, _, reason, _ in world.cluster.events if name == "web"][-1] == "Known"


async def test_a_revocation_is_propagated_when_every_replica_has_it(world):
    broken = world.pool.servers()[1]
    broken.reachable = False
    edit(world, keys=[SECOND])
    await world.settle()
    status, message = read(world)
    assert status == "False"
    assert message == f"1/2 pods of serving/pool ({pod_name(world, 1)} does not answer the operator)."
    assert world.client_status()["servers"][0]["converged"] == 1
    broken.reachable = True
    await world.pass_time(30)
    assert read(world) == ("True", "2/2 pods of serving/pool.")


async def test_what_a_replica_has_applied_stays_true_while_it_does_not_answer(world):
    before = len(world.cluster.writes)
    world.pool.servers()[1].reachable = False
    await world.settle()
    assert read(world) == ("True", "2/2 pods of serving/pool.")
    assert not [write for write in world.cluster.writes[before:] if "ModelClient" in str(write)]


async def test_another_client_s_key_changes_nothing_for_this_one(world):
    before = world.cluster.peek(MODEL_CLIENT, SUPPORT, "web")
    world.put_client(SECOND, name="app")
    await world.settle()
    assert condition(world.client_status("app"), "Ready")["status"] == "True"
    assert world.cluster.peek(MODEL_CLIENT, SUPPORT, "web") == before


async def test_a_new_operator_writes_nothing_about_a_client_that_is_as_before(world):
    before = world.cluster.peek(MODEL_CLIENT, SUPPORT, "web")
    world.restart_operator()
    await world.settle()
    assert world.cluster.peek(MODEL_CLIENT, SUPPORT, "web") == before


@pytest.mark.parametrize(
    "end",
    [
        lambda world: world.cluster.remove(MODEL_SERVER, SERVING, "pool"),
        lambda world: world.cluster.remove(ADAPTER_DEPLOYMENT, SUPPORT, "support"),
        lambda world: world.cluster.edit(
            MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(allowedNamespaces={"from": "Same"})
        ),
    ],
    ids=["no server", "no alias", "not allowed"],
)
async def test_a_client_without_a_server_says_so(world, end):
    end(world)
    await world.settle()
    ready = condition(world.client_status(), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NoServer")
    assert world.client_status().get("servers", []) == []


async def test_a_namespace_that_a_server_admits_later_brings_its_clients(world):
    def select(body):
        body["spec"]["allowedNamespaces"] = {"from": "Selector", "selector": {"matchLabels": {"served": "yes"}}}

    world.cluster.edit(MODEL_SERVER, SERVING, "pool", select)
    await world.settle()
    assert condition(world.client_status(), "Ready")["reason"] == "NoServer"
    world.cluster.edit(NAMESPACE, None, SUPPORT, lambda body: body["metadata"]["labels"].update(served="yes"))
    await world.pass_time(90)
    assert read(world) == ("True", "2/2 pods of serving/pool.")


async def test_a_key_that_expires_is_reported_before_and_after(world):
    edit(world, keys=[{**FIRST, "notAfter": "2026-01-21T00:00:00Z"}])
    await world.settle()
    reasons = []
    for days in (0, 7, 14):
        world.clock.advance(days * 86400)
        await world.settle()
        reasons.append(condition(world.client_status(), "Ready")["reason"])
    assert reasons == ["Known", "KeyExpiresSoon", "KeysExpired"]


@pytest.mark.parametrize("spec", [{"keys": [SECOND]}, {"suspended": True}, {"keys": []}])
async def test_an_operator_killed_after_any_write_reports_the_same(world, spec):
    edit(world, **spec)
    first = len(world.cluster.writes)
    await world.settle()
    expected, writes = world.client_status(), len(world.cluster.writes) - first
    assert writes >= 3, "the list, the server's status, the client's status"
    for number in range(1, writes + 1):
        edit(world, keys=[FIRST], suspended=False)
        await world.settle()
        edit(world, **spec)
        world.cluster.crash_after = number
        await world.settle()
        found = world.client_status()
        assert world.crashes == number
        for item in (*expected["conditions"], *found["conditions"]):
            item.pop("observedGeneration", None)
        assert found["conditions"] == expected["conditions"], f"killed after write {number}"
        assert found["servers"] == expected["servers"]


async def test_a_status_of_another_generation_is_not_overwritten(world):
    edit(world, suspended=True)
    world.cluster.fail_next(ConflictError("changed"), "replace_status", MODEL_CLIENT)
    await world.settle()
    assert condition(world.client_status(), "Ready")["reason"] == "Suspended"
