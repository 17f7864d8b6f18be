"""Simulate a kubelet for the pods that the controllers create, in a process of its own.

    python -m scale_bench.kubelet <API server> <folder of the control plane's certificates>

It writes the status of pods, as far as the operator reads it. Server pods and trainers run; prepare Jobs of jobs that
train, and inspections, succeed with a termination message; every other pod stays pending, as if there were no node.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import sys
from pathlib import Path

from scale_bench.api import MERGE_PATCH, Api, ApiError, Body
from scale_bench.objects import BASE_DIGEST, TRAINING_PREFIX, digest_of
from scale_bench.pods import Addresses, ServerProcesses, TrainerProcesses
from tunewright_contracts.phase_result import BaseModelSummary, DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.times import format_time
from tunewright_dev.certificates import KeyPair
from tunewright_operator.api import labels
from tunewright_operator.api.labels import Role

WORKERS = 16
TRAFFIC_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Running:
    """A pod whose process runs here."""

    address: str
    role: Role


class Kubelet:
    """Gives each pod a status once, and its process an address."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._addresses = Addresses()
        self._servers = ServerProcesses()
        self._trainers = TrainerProcesses()
        self._running: dict[str, Running] = {}
        self._seen: set[str] = set()
        self._queue: asyncio.Queue[Body] = asyncio.Queue()

    async def run(self) -> None:
        """Follow the operator's pods, without an end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
            group.create_task(self._send_traffic())
            async for event, pod in self._api.watch("/api/v1/pods", labelSelector=labels.OWNED_SELECTOR):
                uid = pod["metadata"]["uid"]
                if event == "DELETED":
                    self._seen.discard(uid)
                    await self._stop(uid)
                elif uid not in self._seen:
                    self._seen.add(uid)
                    self._queue.put_nowait(pod)

    async def _work(self) -> None:
        while True:
            pod = await self._queue.get()
            try:
                await self._start(pod)
            except ApiError as error:
                # The pod was deleted meanwhile.
                print(error, flush=True)

    async def _send_traffic(self) -> None:
        session = 0
        while True:
            await asyncio.sleep(TRAFFIC_SECONDS)
            session += 1
            self._servers.send_traffic(session)

    async def _start(self, pod: Body) -> None:
        metadata = pod["metadata"]
        role = Role(metadata["labels"][labels.ROLE])
        result = build_result(role, metadata["labels"][labels.NAME])
        if result is not None:
            await self._write_status(pod, build_ended(pod, result))
        elif role in {Role.SERVER, Role.TRAIN}:
            address = self._addresses.take()
            self._running[metadata["uid"]] = Running(address, role)
            if role is Role.SERVER:
                await self._servers.start(address, metadata["uid"])
            else:
                await self._trainers.start(address)
            await self._write_status(pod, build_running(pod, address))

    async def _stop(self, uid: str) -> None:
        running = self._running.pop(uid, None)
        if running is not None:
            await (self._servers if running.role is Role.SERVER else self._trainers).stop(running.address)
            self._addresses.give_back(running.address)

    async def _write_status(self, pod: Body, status: Body) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        await self._api.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)


def build_result(role: Role, owner: str) -> PhaseResult | None:
    """Return the result of a pod that ends at once; None if it runs or stays pending.

    Args:
        role: the pod's purpose.
        owner: the name of the resource that its Job belongs to.
    """
    if role is Role.INSPECT:
        summary = BaseModelSummary(digest=BASE_DIGEST, bytes=1000, files=3)
        return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", base_model=summary)
    if role is Role.PREPARE and owner.startswith(TRAINING_PREFIX):
        dataset = DatasetSummary(
            digest=digest_of("dataset"), uri="s3://adapters/datasets/x", train=800, validation=50, evaluation=150
        )
        return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Prepared", message="", dataset=dataset)
    return None


def build_running(pod: Body, address: str) -> Body:
    """Return the status of a pod whose containers run and are ready."""
    now = _now()
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")
        ],
        "containerStatuses": _build_containers(pod, {"running": {"startedAt": now}}, ready=True),
    }


def build_ended(pod: Body, result: PhaseResult) -> Body:
    """Return the status of a pod whose containers have succeeded."""
    now = _now()
    terminated = {
        "exitCode": 0,
        "reason": "Completed",
        "startedAt": now,
        "finishedAt": now,
        "message": result.to_termination_message(),
    }
    return {
        "phase": "Succeeded",
        "startTime": now,
        "containerStatuses": _build_containers(pod, {"terminated": terminated}, ready=False),
    }


def _now() -> str:
    return format_time(dt.datetime.now(dt.UTC))


def _build_containers(pod: Body, state: Body, *, ready: bool) -> list[Body]:
    return [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
            "state": state,
        }
        for container in pod["spec"]["containers"]
    ]


async def main(url: str, pki: Path) -> None:
    """Run until the process is stopped."""
    authority, admin = (KeyPair(pki / f"{name}.crt", pki / f"{name}.key") for name in ("cluster-ca", "admin"))
    async with Api(url, authority, admin) as api:
        await Kubelet(api).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
