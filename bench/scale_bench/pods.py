"""The processes of simulated pods: servers that apply plans and answer sessions, and trainers that report progress.

Each pod has its own address of the loopback network, because the operator calls pods by their IP and a fixed port.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import socket
import sys
import time
from collections.abc import Iterator

from aiohttp import web

from scale_bench.options import CLONE
from tunewright_contracts.clients.access_list import ACCESS_PATH, AccessList, SignedAccessList
from tunewright_contracts.progress import PROGRESS_PATH, PROGRESS_PORT, Phase, Progress
from tunewright_contracts.serving_plan import PLAN_PATH, SERVER_PORT, STATE_PATH, ServingPlan, SignedPlan
from tunewright_contracts.times import format_time

sys.path.insert(0, str(CLONE / "tests"))

from support.clusters.fake_pods import FakePod

MAX_PLAN_BYTES = 4 << 20
TOTAL_STEPS = 100_000
FIRST_NETWORK, LAST_NETWORK = 16, 250


class Addresses:
    """The addresses ``127.<n>.x.y`` of this run; another run on the machine gets another network."""

    def __init__(self) -> None:
        self._guard, self._network = _claim_network()
        self._free: list[str] = []
        self._unused: Iterator[str] = (str(self._network[number]) for number in itertools.count(16))

    def take(self) -> str:
        """Return an address that no pod has."""
        return self._free.pop() if self._free else next(self._unused)

    def give_back(self, address: str) -> None:
        """Make an address usable for another pod."""
        self._free.append(address)


def _claim_network() -> tuple[socket.socket, ipaddress.IPv4Network]:
    """Return a network of the loopback range in which no program listens on the server's port, and a socket in it."""
    for number in range(FIRST_NETWORK, LAST_NETWORK):
        guard = socket.socket()
        try:
            guard.bind((f"127.{number}.0.1", SERVER_PORT))
        except OSError:
            guard.close()
            continue
        return guard, ipaddress.IPv4Network(f"127.{number}.0.0/16")
    raise OSError(f"port {SERVER_PORT} is in use at every loopback address from 127.{FIRST_NETWORK}.0.1")


class ServerProcesses:
    """The processes of all server pods, by address."""

    def __init__(self) -> None:
        self._pods: dict[str, FakePod] = {}
        self._states: dict[str, bytes] = {}
        self._sites: dict[str, web.TCPSite] = {}
        application = web.Application(client_max_size=MAX_PLAN_BYTES)
        application.router.add_get(STATE_PATH, self._answer_state)
        application.router.add_put(PLAN_PATH, self._apply_plan)
        application.router.add_put(ACCESS_PATH, self._apply_access)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, address: str, uid: str) -> None:
        """Start the process of a pod."""
        if not self._sites:
            await self._runner.setup()
        self._pods[address] = FakePod(uid)
        self._sites[address] = web.TCPSite(self._runner, address, SERVER_PORT)
        await self._sites[address].start()

    async def stop(self, address: str) -> None:
        """End the process of a pod."""
        await self._sites.pop(address).stop()
        del self._pods[address]
        self._states.pop(address, None)

    def send_traffic(self, session: int) -> None:
        """Let every pod answer one request for each alias with two revisions, so that its rollout has evidence."""
        for address, pod in self._pods.items():
            aliases = [route.alias for route in (pod.plan.routes if pod.plan else ()) if len(route.targets) > 1]
            for alias in aliases:
                pod.ask(alias, f"session-{session}")
                self._states.pop(address, None)

    async def _answer_state(self, request: web.Request) -> web.Response:
        address = _own_address(request)
        if address not in self._states:
            # A state is built again only if it changed: this process shares the machine with what is measured.
            self._states[address] = self._pods[address].state().to_json().encode()
        return web.Response(body=self._states[address], content_type="application/json")

    async def _apply_plan(self, request: web.Request) -> web.Response:
        address = _own_address(request)
        self._pods[address].apply(ServingPlan.from_json(SignedPlan.from_json(await request.read()).payload_bytes()))
        self._states.pop(address, None)
        return web.json_response({})

    async def _apply_access(self, request: web.Request) -> web.Response:
        address = _own_address(request)
        signed = SignedAccessList.from_json(await request.read())
        self._pods[address].apply_access(AccessList.from_json(signed.payload_bytes()))
        self._states.pop(address, None)
        return web.json_response({})


class TrainerProcesses:
    """The processes of all trainer pods; their progress is the time since their start."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._sites: dict[str, web.TCPSite] = {}
        application = web.Application()
        application.router.add_get(PROGRESS_PATH, self._answer_progress)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, address: str) -> None:
        """Start the process of a pod."""
        if not self._sites:
            await self._runner.setup()
        self._started[address] = time.monotonic()
        self._sites[address] = web.TCPSite(self._runner, address, PROGRESS_PORT)
        await self._sites[address].start()

    async def stop(self, address: str) -> None:
        """End the process of a pod."""
        await self._sites.pop(address).stop()
        del self._started[address]

    async def _answer_progress(self, request: web.Request) -> web.Response:
        step = int(time.monotonic() - self._started[_own_address(request)])
        progress = Progress(
            phase=Phase.TRAINING,
            step=step,
            total_steps=TOTAL_STEPS,
            train_loss=2.0 / (1 + step / 100),
            tokens_per_second=1000.0,
            updated_at=format_time(dt.datetime.now(dt.UTC)),
        )
        return web.Response(body=progress.to_json().encode(), content_type="application/json")


def _own_address(request: web.Request) -> str:
    """Return the address at which a request arrived."""
    if request.transport is None:
        raise web.HTTPBadRequest
    return str(request.transport.get_extra_info("sockname")[0])
