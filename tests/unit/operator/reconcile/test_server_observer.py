"""Observing a ModelServer: what it refers to, its objects and pods, and its tenants."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld
from tunewright_contracts.serving_plan import PLAN_KEY
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    CONFIG_MAP,
    MODEL_SERVER,
    NAMESPACE,
    SECRET,
)
from tunewright_operator.api.resource import ResourceError
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.reconcile.server_observer import ObservedServer
from tunewright_operator.reconcile.signing_keys import SIGNING_KEY_SECRET
from tunewright_operator.runtime.key import Key


async def observe(world: ServingWorld) -> ObservedServer:
    server = world.feed.reads.observe_model_server(SERVING, "pool")
    assert server is not None
    return await world.servers._observer.observe(server)


async def observe_tenants(world: ServingWorld) -> dict[str, Any]:
    tenants = (await observe(world)).observation.tenants
    return {f"{tenant.metadata.namespace}/{tenant.metadata.name}": tenant for tenant in tenants}


async def test_a_new_server_has_neither_objects_nor_a_plan() -> None:
    observed = await observe(ServingWorld())
    observation = observed.observation
    assert observation.base_model is not None
    assert observation.storage == StorageFacts(secret=UseFacts(exists=True, allowed=True))
    assert observation.namespace_labels == {"team": SERVING}
    assert (observation.has_signing_key, observation.deployment, observation.plan.plan) == (False, None, None)
    assert (observation.pods, observation.states, observed.children) == ((), {}, None)


async def test_a_running_server_is_observed_with_its_pods_and_its_plan() -> None:
    world = ServingWorld()
    await world.settle()
    observed = await observe(world)
    observation = observed.observation
    assert observation.has_signing_key
    assert observation.deployment is not None
    assert observation.deployment.ready_replicas == 2
    assert {pod.uid for pod in observation.pods} == set(observation.states)
    assert observation.plan.plan == world.plan
    assert observation.plan.is_signed
    assert not observation.template_changed
    assert observed.children is not None
    assert observed.is_polled
    world.pool.servers()[0].reachable = False
    await world.poll()
    assert len((await observe(world)).observation.states) == 1


async def test_without_a_poll_of_every_pod_a_server_is_not_known() -> None:
    world = ServingWorld()
    await world.settle()
    world.restart_operator()
    observed = await observe(world)
    assert (observed.is_polled, observed.observation.states) == (False, {})
    assert await world.servers.reconcile(Key(MODEL_SERVER, SERVING, "pool")) is None
    await world.polls.poller.poll_due()
    assert (await observe(world)).is_polled
    world.clock.advance(31)
    assert not (await observe(world)).is_polled, "the states are too old"


async def test_a_plan_with_the_signature_of_an_earlier_key_is_not_signed() -> None:
    world = ServingWorld()
    await world.settle()
    world.cluster.remove(SECRET, "tunewright-system", SIGNING_KEY_SECRET)
    world.restart_operator()
    observation = (await observe(world)).observation
    assert (observation.has_signing_key, observation.plan.is_signed) == (False, False)
    assert observation.states == {}, "pods are not called without a key"
    assert observation.plan.plan == world.plan


async def test_a_plan_of_another_owner_is_a_problem() -> None:
    world = ServingWorld()
    metadata = {"name": "pool-plan", "namespace": SERVING}
    world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {PLAN_KEY: "x"}})
    observed = await observe(world)
    assert observed.observation.plan.problem is not None
    assert observed.observation.plan.problem.reason.value == "NameTaken"
    assert observed.written.body is None
    assert world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"] == {PLAN_KEY: "x"}


async def test_a_changed_setting_changes_the_template() -> None:
    world = ServingWorld()
    await world.settle()
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"]["lora"].update(maxRank=32))
    assert (await observe(world)).observation.template_changed


@pytest.mark.parametrize(
    "break_it",
    [
        lambda world: world.cluster.remove(BASE_MODEL, None, "smollm2"),
        lambda world: world.put_base_model(digest=""),
    ],
    ids=["missing", "not inspected"],
)
async def test_without_an_inspected_base_model_there_is_no_template_to_compare(break_it: Any) -> None:
    world = ServingWorld()
    await world.settle()
    break_it(world)
    observed = await observe(world)
    assert observed.children is None
    assert not observed.observation.template_changed


async def test_the_tenants_are_the_deployments_that_name_the_server() -> None:
    world = ServingWorld()
    world.put_deployment("explicit")
    world.put_deployment("same", namespace=SERVING, serverRef={"name": "pool"})
    world.put_deployment("elsewhere", serverRef={"name": "pool"})
    world.put_deployment("other", serverRef={"name": "other", "namespace": SERVING})
    world.put_deployment("deleted")
    world.edit_deployment(lambda body: body["metadata"].update(deletionTimestamp=world.clock.text), "deleted")
    assert set(await observe_tenants(world)) == {f"{SUPPORT}/explicit", f"{SERVING}/same"}


async def test_an_unreadable_tenant_is_known_by_its_metadata() -> None:
    world = ServingWorld()
    world.put_deployment("good")
    world.put_deployment("bad", rollout={"steps": "none"})
    tenants = await observe_tenants(world)
    assert tenants[f"{SUPPORT}/good"].deployment is not None
    assert tenants[f"{SUPPORT}/bad"].deployment is None
    uid = world.cluster.peek(ADAPTER_DEPLOYMENT, SUPPORT, "bad")["metadata"]["uid"]
    assert tenants[f"{SUPPORT}/bad"].metadata.uid == uid


@pytest.mark.parametrize(
    ("allowed", "namespaces"),
    [
        ({"from": "All"}, {SERVING, SUPPORT, "other"}),
        ({"from": "Same"}, {SERVING}),
        ({"from": "Selector", "selector": {"matchLabels": {"team": SUPPORT}}}, {SERVING, SUPPORT}),
    ],
)
async def test_the_server_decides_which_namespaces_may_use_it(allowed: dict[str, Any], namespaces: set[str]) -> None:
    world = ServingWorld(allowedNamespaces=allowed)
    for namespace in (SERVING, SUPPORT, "other"):
        world.put_deployment("a", namespace=namespace)
    tenants = await observe_tenants(world)
    assert {tenant.metadata.namespace for tenant in tenants.values() if tenant.namespace_allowed} == namespaces
    world.cluster.remove(NAMESPACE, None, SUPPORT)
    world.clock.advance(60)
    assert (await observe_tenants(world))[f"{SUPPORT}/a"].namespace_allowed is (allowed["from"] == "All")


async def test_an_unreadable_server_is_an_error() -> None:
    world = ServingWorld()
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"]["lora"].update(maxRank=7))
    with pytest.raises(ResourceError, match="serving/pool"):
        await observe(world)


async def test_the_engine_is_that_of_the_applied_template() -> None:
    world = ServingWorld()
    assert (await observe(world)).observation.engine is None
    await world.settle()
    first = (await observe(world)).observation.engine
    assert first is not None
    assert first.everywhere
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(vllm={"dtype": "Float16"}))
    assert (await observe(world)).observation.engine is None, "the new template is not applied yet"
    await world.work_once()
    second = (await observe(world)).observation.engine
    assert second is not None
    assert (second.identity == first.identity, second.everywhere) == (False, False)
    await world.settle()
    third = (await observe(world)).observation.engine
    assert third is not None
    assert (third.identity, third.everywhere) == (second.identity, True)
