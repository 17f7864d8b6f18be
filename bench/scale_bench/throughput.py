"""How fast an operator gives new resources their child, and what that costs; ours and the peer take turns."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence

from scale_bench import audit
from scale_bench.api import Api, ApiError, Body, run_all
from scale_bench.children import Children, Key
from scale_bench.daemons import Daemon
from scale_bench.operators import MeasuredOperator
from tunewright_dev import console

FOLLOW_SECONDS = 6.0
"""After the last child, status writes and events follow; they belong to the cost."""
IDLE_SECONDS = 15.0
CHILD_SECONDS = 600.0
GONE_SECONDS = 300.0
NAMESPACES = 20


@dataclasses.dataclass(frozen=True)
class Contestant:
    """An operator, the kind of its resources, and where their children appear."""

    name: str
    operator: MeasuredOperator
    children: Children
    collection: str
    """The path of the collection; ``{namespace}`` stands for the namespace."""
    build: Callable[[str, str], Body]
    """Return a new resource of a name in a namespace."""


@dataclasses.dataclass(frozen=True)
class Round:
    """What a batch of new resources took and cost."""

    resources: int
    seconds: float
    """From the first request to the last child."""
    creation_seconds: float
    """From the first request to the last created resource: the operator cannot be faster."""
    cpu_until_children: float
    """The operator's CPU seconds until the last child."""
    cpu: float
    """The operator's CPU seconds until `FOLLOW_SECONDS` later."""
    idle_cpu: float
    """The part of them that the operator would have used without the new resources."""
    control_plane_cpu: dict[str, float]
    calls: Counter[str]
    rss_mib: float

    @property
    def per_second(self) -> float:
        """The resources that got a child in one second."""
        return self.resources / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """The operator's CPU for each resource, with what follows and without what it always uses."""
        return 1000 * max(0.0, self.cpu - self.idle_cpu) / self.resources

    def to_report(self) -> Body:
        """Return the figures of one round."""
        by = self.resources
        return {
            "resources": by,
            "seconds": round(self.seconds, 2),
            "creationSeconds": round(self.creation_seconds, 2),
            "resourcesPerSecond": round(self.per_second, 2),
            "cpuMillisecondsUntilChild": round(1000 * self.cpu_until_children / by, 2),
            "cpuMilliseconds": round(self.cpu_milliseconds, 2),
            "cpuMillisecondsWithIdle": round(1000 * self.cpu / by, 2),
            "controlPlaneCpuMilliseconds": {
                name: round(1000 * seconds / by, 2) for name, seconds in self.control_plane_cpu.items()
            },
            "calls": audit.divide(self.calls, by),
            "rssMiB": round(self.rss_mib, 1),
        }


class Throughput:
    """Runs rounds of new resources."""

    def __init__(self, api: Api, control_plane: Sequence[Daemon], namespaces: Sequence[str]) -> None:
        self._api = api
        self._control_plane = control_plane
        self._namespaces = namespaces
        self._round = 0

    async def compete(self, contestants: Sequence[Contestant], batch: int, rounds: int) -> dict[str, list[Round]]:
        """Let the contestants take turns; each one is the first in every other round.

        Everything is deleted after each turn, so that all turns start in an empty world.

        Raises:
            DevError: a resource got no child.
        """
        results: dict[str, list[Round]] = {contestant.name: [] for contestant in contestants}
        with console.step(f"measuring the idle operators for {IDLE_SECONDS:.0f} s"):
            idle = dict(zip(results, await self._measure_idle(contestants), strict=True))
        for number in range(rounds):
            order = contestants if number % 2 == 0 else contestants[::-1]
            for contestant in order:
                title = f"round {number + 1} of {rounds}: {batch} new resources for {contestant.name}"
                with console.step(title):
                    result, parents = await self.run(contestant, batch, idle[contestant.name])
                    await self._delete(contestant, parents)
                results[contestant.name].append(result)
                shown = f"{result.per_second:.1f}/s, {result.cpu_milliseconds:.1f} ms of CPU each"
                console.say(f"    {shown}")
        return results

    async def run(
        self, contestant: Contestant, batch: int, idle_cores: float, *, on_children: Callable[[], None] = lambda: None
    ) -> tuple[Round, list[Key]]:
        """Create a batch of resources, and wait until each has its child and what follows is done.

        Args:
            contestant: the operator and the kind of its resources.
            batch: how many resources to create.
            idle_cores: what the operator uses without new resources.
            on_children: is called when the last child has appeared.

        Raises:
            DevError: a resource got no child.
        """
        self._round += 1
        parents = [
            (self._namespaces[number % len(self._namespaces)], f"new-{self._round:03d}-{number:05d}")
            for number in range(batch)
        ]
        daemon = contestant.operator.daemon
        cpu = daemon.read_usage().cpu_seconds
        before = self._read_control_plane()
        started, started_at = time.monotonic(), dt.datetime.now(dt.UTC)
        await run_all(self._create(contestant, parent) for parent in parents)
        created = time.monotonic()
        last = await contestant.children.wait_for(parents, CHILD_SECONDS)
        on_children()
        until_children = daemon.read_usage().cpu_seconds - cpu
        await asyncio.sleep(FOLLOW_SECONDS)
        usage, passed = daemon.read_usage(), time.monotonic() - started
        after = self._read_control_plane()
        calls = await contestant.operator.count_calls(started_at, dt.datetime.now(dt.UTC))
        result = Round(
            resources=batch,
            seconds=last - started,
            creation_seconds=created - started,
            cpu_until_children=until_children,
            cpu=usage.cpu_seconds - cpu,
            idle_cpu=idle_cores * passed,
            control_plane_cpu={name: after[name] - before[name] for name in after},
            calls=calls,
            rss_mib=usage.rss_mib,
        )
        return result, parents

    async def _measure_idle(self, contestants: Sequence[Contestant]) -> list[float]:
        """Return what each operator uses without resources, in cores."""
        daemons = [contestant.operator.daemon for contestant in contestants]
        before, started = [daemon.read_usage().cpu_seconds for daemon in daemons], time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        passed = time.monotonic() - started
        return [
            (daemon.read_usage().cpu_seconds - earlier) / passed
            for daemon, earlier in zip(daemons, before, strict=True)
        ]

    async def _create(self, contestant: Contestant, parent: Key) -> None:
        namespace, name = parent
        path = contestant.collection.format(namespace=namespace)
        await self._api.create(path, contestant.build(name, namespace))

    async def _delete(self, contestant: Contestant, parents: Sequence[Key]) -> None:
        await run_all(self._delete_one(contestant, parent) for parent in parents)
        await contestant.children.wait_gone(parents, GONE_SECONDS)

    async def _delete_one(self, contestant: Contestant, parent: Key) -> None:
        namespace, name = parent
        path = f"{contestant.collection.format(namespace=namespace)}/{name}?propagationPolicy=Background"
        try:
            await self._api.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def _read_control_plane(self) -> dict[str, float]:
        return {daemon.name: daemon.read_usage().cpu_seconds for daemon in self._control_plane}


def summarize(rounds: Sequence[Round]) -> Body:
    """Return the medians of several rounds, their spread, and the rounds."""
    speeds = [one.per_second for one in rounds]
    costs = [one.cpu_milliseconds for one in rounds]
    calls = audit.sum_all(one.calls for one in rounds)
    resources = sum(one.resources for one in rounds)
    return {
        "resourcesPerSecond": round(statistics.median(speeds), 2),
        "resourcesPerSecondSpread": [round(min(speeds), 2), round(max(speeds), 2)],
        "cpuMilliseconds": round(statistics.median(costs), 2),
        "cpuMillisecondsSpread": [round(min(costs), 2), round(max(costs), 2)],
        "calls": audit.divide(calls, resources),
        "callsByVerb": audit.divide(audit.group_by_verb(calls), resources),
        "rounds": [one.to_report() for one in rounds],
    }
