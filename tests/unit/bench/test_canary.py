from __future__ import annotations

import asyncio

import pytest

from scale_bench import canary
from scale_bench.canary import Canaries, Phase, percentile, summarize


@pytest.mark.parametrize(
    ("number", "percent", "expected"), [(0, 99, None), (1, 50, 1.0), (100, 50, 50.0), (100, 99, 99.0), (10, 99, 10.0)]
)
def test_percentiles_are_those_of_the_nearest_rank(number, percent, expected):
    assert percentile([float(value) for value in range(1, number + 1)], percent) == expected


class Operator:
    """An API server and an operator in one: each job has its child some time after its creation."""

    def __init__(self, monkeypatch, wait: float) -> None:
        self.now = 0.0
        self.wait = wait
        self.appeared = {}
        monkeypatch.setattr(canary.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(canary.asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await REAL_SLEEP(0)

    async def create(self, path: str, body: dict) -> None:
        self.appeared[body["metadata"]["namespace"], body["metadata"]["name"]] = self.now + self.wait


REAL_SLEEP = asyncio.sleep


async def test_a_canary_counts_for_the_phase_in_which_it_was_created(monkeypatch):
    operator = Operator(monkeypatch, 0.5)
    canaries = Canaries(operator, operator)
    async with canaries.flying(Phase.STARTING):
        while canaries.number < 3:
            await REAL_SLEEP(0)
        canaries.enter(Phase.LISTING)
        operator.wait = 2.0
        while canaries.number < 6:
            await REAL_SLEEP(0)
    starting, listing = canaries.waits(Phase.STARTING), canaries.waits(Phase.LISTING)
    assert len(starting) + len(listing) == canaries.number
    assert summarize(starting)["p50Seconds"] == 0.5
    assert summarize(listing)["p99Seconds"] == 2.0
    assert canaries.waits(Phase.STARTING, Phase.LISTING) == sorted(starting + listing)


async def test_a_canary_without_a_child_counts_with_its_wait(monkeypatch):
    operator = Operator(monkeypatch, 0.0)
    canaries = Canaries(operator, operator)
    async with canaries.flying(Phase.BACKLOG):
        while canaries.number < 1:
            await REAL_SLEEP(0)
        operator.appeared.clear()
    assert canaries.waits(Phase.BACKLOG)[-1] >= canary.LAST_SECONDS
