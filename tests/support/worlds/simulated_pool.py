"""A pool of replicas in virtual time: clients and evaluations share the places of each replica's batch.

A replica answers all requests of its batch at one speed, which falls when the batch is larger than its cores can
compute at once. Requests beyond its capacity wait, as inside vLLM.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json

import httpx

from tunewright_contracts.pool_load import LOAD_HEADER
from tunewright_server.telemetry.load import LoadMeter

TOKENS = 20


@dataclasses.dataclass
class Replica:
    """One replica; ``capacity`` is the size of its batch, ``cores`` the size up to which answers do not slow down."""

    name: str
    capacity: int
    cores: int
    share_percent: int = 50
    seconds: float = 1.0
    clients: int = 0
    """Requests of clients in it."""
    evaluating: int = 0
    refused: int = 0
    highest: list[tuple[float, int, int]] = dataclasses.field(default_factory=list)
    """When a request of an evaluation was admitted: (time, requests of evaluations, requests of clients)."""

    def __post_init__(self) -> None:
        self.meter = LoadMeter(self.name, lambda: self.capacity, lambda: self.waiting)
        self.meter.share_percent = self.share_percent

    @property
    def waiting(self) -> int:
        return max(0, self.clients + self.evaluating - self.capacity)

    def set_clients(self, number: int) -> None:
        """Let this number of client requests be in the replica from now on."""
        for _ in range(abs(number - self.clients)):
            (self.meter.enter if number > self.clients else self.meter.leave)(is_evaluation=False)
        self.clients = number

    async def answer(self) -> httpx.Response:
        """Answer one request of an evaluation."""
        if not self.meter.admits_evaluation():
            self.refused += 1
            return httpx.Response(429, headers={**self._load(), "Retry-After": "1"}, text="busy")
        self.meter.enter(is_evaluation=True)
        self.evaluating += 1
        self.highest.append((asyncio.get_running_loop().time(), self.evaluating, self.clients))
        try:
            left = self.seconds
            while left > 0:
                step = min(left, self.seconds / 4)
                await asyncio.sleep(step * max(1.0, (self.clients + self.evaluating) / self.cores))
                left -= step
        finally:
            self.evaluating -= 1
            self.meter.leave(is_evaluation=True)
        answer = {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": TOKENS}}
        return httpx.Response(200, headers=self._load(), json=answer)

    def _load(self) -> dict[str, str]:
        ((name, value),) = self.meter.headers()
        assert name.decode() == LOAD_HEADER
        assert json.loads(value)
        return {name.decode(): value.decode()}


class Pool(httpx.AsyncBaseTransport):
    """The Service in front of the replicas, which get the requests in turn."""

    def __init__(self, *replicas: Replica) -> None:
        self.replicas = replicas
        self._turns = itertools.cycle(replicas)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await next(self._turns).answer()
        response.request = request
        return response

    @property
    def evaluating(self) -> int:
        return sum(replica.evaluating for replica in self.replicas)
