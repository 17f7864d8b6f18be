"""A pool of replicas in virtual time: clients and evaluations share the places of each replica's batch.

A replica answers all requests of its batch at one speed, which falls when the batch is larger than its cores can
compute at once. Requests beyond its capacity wait, as inside vLLM.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

from tunewright_contracts.pool_load import PodLoad
from tunewright_evaluator.client import Answer, BusyError
from tunewright_evaluator.records import Record
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

    async def answer(self) -> Answer:
        """Answer one request of an evaluation, or refuse it."""
        if not self.meter.admits_evaluation():
            self.refused += 1
            raise BusyError("busy", 1.0, self._load())
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
        return Answer("a", TOKENS, self._load())

    def _load(self) -> PodLoad:
        """Return the load as the evaluator reads it from the header."""
        ((_, value),) = self.meter.headers()
        return PodLoad.from_json(value)


class Pool:
    """The Service in front of the replicas, which get the requests in turn; it replaces a `ServerClient`."""

    def __init__(self, *replicas: Replica) -> None:
        self._turns = itertools.cycle(replicas)

    async def ask(self, _target: str, _record: Record) -> Answer:
        return await next(self._turns).answer()
