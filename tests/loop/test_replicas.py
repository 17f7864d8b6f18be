"""Two processes of the operator on one fake cluster: the standby watches and writes nothing until it takes over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from support.clusters.fake_cluster import FakeCluster
from support.clusters.http_api import PATIENCE_SECONDS, HTTPCluster
from tunewright_operator.api.kinds import BASE_MODEL, CUSTOM_RESOURCE_DEFINITION, EVENT, LEASE, OWN_KINDS
from tunewright_operator.cluster import Body

LEASE_NAME = "tunewright-operator"


@pytest.fixture
async def api() -> HTTPCluster:
    """A cluster that serves the CRDs and has one BaseModel."""
    cluster = FakeCluster()
    for kind in OWN_KINDS:
        name = f"{kind.plural}.{kind.group}"
        established = {"conditions": [{"type": "Established", "status": "True"}]}
        cluster.put(build(CUSTOM_RESOURCE_DEFINITION, name, status=established))
    spec = {
        "source": {"s3": {"uri": "s3://models/x"}},
        "storage": {"secretRef": {"name": "none"}},
        "contextLength": 512,
    }
    cluster.put(build(BASE_MODEL, "model", spec=spec))
    return HTTPCluster(cluster)


def build(kind: Any, name: str, **fields: Any) -> Body:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name}, **fields}


def holder(api: HTTPCluster) -> str:
    lease = api.cluster.find(LEASE, "sys", LEASE_NAME)
    return str(lease["spec"]["holderIdentity"]) if lease else ""


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Replica:
    """A process of the operator."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, port: int) -> None:
        self.name = name
        self.process = process
        self._port = port

    async def wait_until_ready(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                assert self.process.returncode is None
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get(f"http://127.0.0.1:{self._port}/readyz") as response:
                return response.status == 200
        return False


@contextlib.asynccontextmanager
async def running(api: HTTPCluster, name: str, folder: Path) -> AsyncIterator[Replica]:
    async with api.serve(name) as url:
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [context],
            "current-context": "c",
        }
        kubeconfig = folder / f"{name}.yaml"
        kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
        port = find_free_port()
        images = dict.fromkeys(("OPERATOR_IMAGE", "TRAINER_IMAGE", "SERVER_IMAGE"), "image")
        settings = {"NAMESPACE": "sys", "POD_NAME": name, "PROBE_PORT": str(port), **images}
        environment = {f"TUNEWRIGHT_{key}": value for key, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tunewright_operator",
            env=os.environ | environment | {"KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
        try:
            yield Replica(name, process, port)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def finalizers_of(api: HTTPCluster, model: str) -> list[str]:
    return api.cluster.peek(BASE_MODEL, None, model)["metadata"].get("finalizers") or []


async def test_a_standby_is_warm_and_writes_nothing_until_the_active_replica_has_released_the_lease(
    api: HTTPCluster, tmp_path: Path
) -> None:
    async with running(api, "first", tmp_path) as first:
        await first.wait_until_ready()
        await api.wait_until(lambda: finalizers_of(api, "model"))
        assert holder(api) == "first"
        async with running(api, "second", tmp_path) as second:
            await second.wait_until_ready()
            await api.wait_until(lambda: set(OWN_KINDS) <= set(api.watched["second"]))
            assert not [write for write in api.writes if write.client == "second"]

            assert await first.stop() == 0
            (released,) = [write for write in api.writes if write.body.get("spec", {}).get("holderIdentity") == ""]
            assert (released.client, released.address.kind) == ("first", LEASE)
            assert released.watches >= len(OWN_KINDS), "the watches end after the release"
            own = [write for write in api.writes if write.client == "first" and write.address.kind != EVENT]
            assert own[-1] is released, "nothing is written after the release"

            await api.wait_until(lambda: holder(api) == "second")
            api.cluster.edit(BASE_MODEL, None, "model", lambda body: body["metadata"].update(finalizers=[]))
            await api.wait_until(lambda: finalizers_of(api, "model"))
            assert await second.stop() == 0
    assert holder(api) == ""


async def test_a_new_active_replica_does_what_a_killed_one_has_left(api: HTTPCluster, tmp_path: Path) -> None:
    async with running(api, "first", tmp_path) as first, running(api, "second", tmp_path) as second:
        await first.wait_until_ready()
        await second.wait_until_ready()
        await api.wait_until(lambda: finalizers_of(api, "model") and holder(api))
        replicas = {replica.name: replica for replica in (first, second)}
        killed = replicas.pop(holder(api))
        (standby,) = replicas
        killed.process.kill()
        await killed.process.wait()
        api.cluster.put({**api.cluster.peek(BASE_MODEL, None, "model"), "metadata": {"name": "late"}})
        api.cluster.edit(LEASE, "sys", LEASE_NAME, lambda body: body["spec"].update(leaseDurationSeconds=1))
        await api.wait_until(lambda: finalizers_of(api, "late"))
        assert holder(api) == standby
        writes = [write for write in api.writes if write.client == standby]
        assert writes[0].address.kind == LEASE
