"""Create the resources of a run, and wait until the operator has worked on all of them."""

from __future__ import annotations

import asyncio
import time

from scale_bench import objects
from scale_bench.api import Api, Body, has_condition, run_all
from scale_bench.cluster import SYSTEM_NAMESPACE
from scale_bench.options import Options
from scale_bench.waiting import wait_until
from tunewright_dev import console

_GROUP = "/apis/tunewright.dev/v1alpha1"
CHECK_SECONDS = 3.0
INSPECTION_SECONDS = 300.0
_MIN_SETTLE_SECONDS = 300.0
_SETTLE_SECONDS_PER_RESOURCE = 0.5


async def create_namespaces(api: Api, names: list[str]) -> None:
    """Create namespaces with the Secret that jobs and servers name."""

    async def create(name: str) -> None:
        await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        await api.create(f"/api/v1/namespaces/{name}/secrets", objects.build_secret(name))

    await run_all(create(name) for name in names)


async def create_base_model(api: Api) -> None:
    """Create the base model with its Secret, and wait until it is inspected.

    Raises:
        DevError: it was not.
    """
    await api.create(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/secrets", objects.build_secret(SYSTEM_NAMESPACE))
    await api.create(f"{_GROUP}/basemodels", objects.build_base_model())
    path = f"{_GROUP}/basemodels/{objects.BASE_MODEL}"

    async def is_ready() -> bool:
        return has_condition(await api.request("GET", path), "Ready")

    await wait_until("the base model to be inspected", is_ready, seconds=INSPECTION_SECONDS)


async def create_world(api: Api, options: Options) -> None:
    """Create all jobs, servers and deployments, those of earlier times with their status."""
    jobs: dict[tuple[str, str], Body] = {}

    async def create_ended(number: int) -> None:
        name, namespace = objects.job_name(number), objects.tenant(options, number)
        path = f"{_GROUP}/namespaces/{namespace}/finetunejobs"
        job = await api.create(path, objects.build_job(name, namespace))
        jobs[namespace, name] = job
        await _write_status(api, path, job, objects.build_ended_status(name, namespace))

    async def create_training(number: int) -> None:
        namespace = objects.tenant(options, number)
        job = objects.build_job(f"{objects.TRAINING_PREFIX}{number:04d}", namespace)
        await api.create(f"{_GROUP}/namespaces/{namespace}/finetunejobs", job)

    async def create_server(number: int) -> None:
        server = objects.build_server(objects.server_name(number), options)
        await api.create(f"{_GROUP}/namespaces/{objects.SERVING}/modelservers", server)

    async def create_deployment(number: int) -> None:
        placement = objects.place(number, options)
        path = f"{_GROUP}/namespaces/{placement.namespace}/adapterdeployments"
        deployment = await api.create(path, objects.build_deployment(placement))
        job = jobs[placement.namespace, placement.job]
        await _write_status(api, path, deployment, objects.build_deployment_status(placement, job))

    with console.step(f"creating {options.jobs} jobs"):
        await run_all(create_ended(number) for number in range(options.ended))
        await run_all(create_training(number) for number in range(options.training))
    with console.step(f"creating {options.servers} servers and {options.deployments} deployments"):
        await run_all(create_server(number) for number in range(options.servers))
        await run_all(create_deployment(number) for number in range(options.deployments))


async def wait_settled(api: Api, options: Options) -> bool:
    """Wait until all servers and deployments are ready and all trainers train; return whether they are in time."""
    resources = options.training + options.deployments + options.servers * options.pods
    limit = _MIN_SETTLE_SECONDS + _SETTLE_SECONDS_PER_RESOURCE * resources
    deadline = time.monotonic() + limit
    shown = time.monotonic()
    while True:
        left = await _count_unsettled(api, options)
        if not any(left.values()):
            return True
        if time.monotonic() > deadline:
            console.warn(f"  not settled after {limit:.0f} s: {_describe(left)}")
            return False
        if time.monotonic() - shown > console.HEARTBEAT_SECONDS:
            shown = time.monotonic()
            console.say(f"    waiting for {_describe(left)}")
        await asyncio.sleep(CHECK_SECONDS)


async def _count_unsettled(api: Api, options: Options) -> dict[str, int]:
    servers, _ = await api.list(f"{_GROUP}/namespaces/{objects.SERVING}/modelservers")
    deployments, _ = await api.list(f"{_GROUP}/adapterdeployments")
    trainers = await asyncio.gather(*(_trains(api, options, number) for number in range(options.training)))
    observing = sum(_observes(deployment) for deployment in deployments)
    return {
        "servers": sum(not has_condition(server, "Ready") for server in servers),
        "deployments": sum(not has_condition(deployment, "Ready") for deployment in deployments),
        "rollouts": max(0, options.rollouts - observing),
        "trainers": trainers.count(False),
    }


async def _trains(api: Api, options: Options, number: int) -> bool:
    namespace = objects.tenant(options, number)
    path = f"{_GROUP}/namespaces/{namespace}/finetunejobs/{objects.TRAINING_PREFIX}{number:04d}"
    job = await api.request("GET", path)
    return bool(job.get("status", {}).get("phase") == "Training")


def _observes(deployment: Body) -> bool:
    return bool(((deployment.get("status") or {}).get("candidate") or {}).get("observation"))


def _describe(left: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in left.items() if number)


async def _write_status(api: Api, path: str, created: Body, status: Body) -> None:
    name = created["metadata"]["name"]
    await api.request("PUT", f"{path}/{name}/status", {**created, "status": status})
