"""What the operator costs in a full world: its start, its steady state, and new resources while it has other work."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import time
from collections.abc import Mapping, Sequence

from scale_bench import audit
from scale_bench.api import Body
from scale_bench.canary import Canaries, Phase
from scale_bench.canary import summarize as summarize_waits
from scale_bench.daemons import Daemon
from scale_bench.operator_metrics import OperatorMetrics
from scale_bench.operators import Tunewright
from scale_bench.options import Options
from scale_bench.throughput import Contestant, Throughput
from tunewright_dev import console
from tunewright_dev.errors import DevError

START_SECONDS = 300.0
START_SECONDS_PER_RESOURCE = 0.05
SCRAPE_SECONDS = 1.0
FEW_KEYS = 10
"""The queue of a settled operator: keys come and go."""
QUIET_SCRAPES = 3
PAUSE_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Start:
    """From the start of the process: until every resource is known, and until each was reconciled once if needed.

    The second pair is None if that took too long.
    """

    synced_seconds: float
    synced_cpu: float
    caught_up_seconds: float | None
    caught_up_cpu: float | None

    def to_report(self) -> Body:
        """Return the figures."""
        return {
            "secondsToSynced": _round(self.synced_seconds),
            "cpuSecondsToSynced": _round(self.synced_cpu),
            "secondsToCaughtUp": _round(self.caught_up_seconds),
            "cpuSecondsToCaughtUp": _round(self.caught_up_cpu),
        }


def count_resources(options: Options) -> dict[str, int]:
    """Return how many resources of each kind there are."""
    return {
        "BaseModel": 1,
        "FineTuneJob": options.jobs,
        "ModelServer": options.servers,
        "AdapterDeployment": options.deployments,
    }


def is_synced(metrics: OperatorMetrics, resources: Mapping[str, int]) -> bool:
    """Return whether the operator knows all resources."""
    return all(metrics.known(kind) >= number for kind, number in resources.items())


def is_caught_up(metrics: OperatorMetrics, resources: Mapping[str, int]) -> bool:
    """Return whether no first reconciliation waits.

    An operator without a metric of its queue reconciles each resource after its start.
    """
    if metrics.queued is not None:
        return metrics.queued <= FEW_KEYS
    return all(metrics.reconciles(kind) >= number for kind, number in resources.items())


async def measure_start(operator: Tunewright, options: Options, canaries: Canaries) -> Start:
    """Start the operator in a full world, with canaries from the moment at which it leads.

    Raises:
        DevError: it did not learn of all resources in time.
    """
    resources = count_resources(options)
    limit = START_SECONDS + START_SECONDS_PER_RESOURCE * sum(resources.values())
    started = time.monotonic()
    await operator.start()
    synced = caught_up = None
    quiet = 0
    async with canaries.flying(Phase.STARTING):
        while quiet < QUIET_SCRAPES:
            if time.monotonic() - started > limit:
                break
            metrics = await operator.read_metrics()
            now = (time.monotonic() - started, operator.daemon.read_usage().cpu_seconds)
            if synced is None and is_synced(metrics, resources):
                synced = now
                canaries.enter(Phase.LISTING)
            if synced is None or not is_caught_up(metrics, resources):
                quiet, caught_up = 0, None
            else:
                quiet, caught_up = quiet + 1, caught_up or now
            await asyncio.sleep(SCRAPE_SECONDS)
    if synced is None:
        raise DevError(f"The operator did not learn of all {sum(resources.values())} resources within {limit:.0f} s.")
    late: tuple[float | None, float | None] = caught_up if caught_up and quiet == QUIET_SCRAPES else (None, None)
    return Start(*synced, *late)


async def measure_steady(operator: Tunewright, control_plane: Sequence[Daemon], seconds: float) -> Body:
    """Return what the operator uses while nothing new happens."""
    await asyncio.sleep(PAUSE_SECONDS)
    daemons = [operator.daemon, *control_plane]
    before = {daemon.name: daemon.read_usage().cpu_seconds for daemon in daemons}
    started, started_at = time.monotonic(), dt.datetime.now(dt.UTC)
    await asyncio.sleep(seconds)
    usage = operator.daemon.read_usage()
    after = {daemon.name: daemon.read_usage().cpu_seconds for daemon in daemons}
    passed = time.monotonic() - started
    cores = {name: round((after[name] - before[name]) / passed, 3) for name in after}
    calls = await operator.count_calls(started_at, started_at + dt.timedelta(seconds=passed))
    return {
        "seconds": _round(passed),
        "cores": cores.pop(operator.daemon.name),
        "controlPlaneCores": cores,
        "rssMiB": _round(usage.rss_mib),
        "callsPerSecond": audit.divide(calls, passed),
        "callsPerSecondByVerb": audit.divide(audit.group_by_verb(calls), passed),
    }


async def measure_backlog(
    throughput: Throughput, contestant: Contestant, batch: int, canaries: Canaries, steady_cores: float
) -> Body:
    """Return what new resources cost in a full world, and how long canaries wait while they are worked on.

    The canaries are new resources, too: they count in the figures of the operator's CPU.
    """
    before = canaries.number
    with console.step(f"{batch} new resources in the full world"):
        async with canaries.flying(Phase.BACKLOG):
            result, _ = await throughput.run(
                contestant, batch, steady_cores, on_children=lambda: canaries.enter(Phase.IDLE)
            )
    flown = canaries.number - before
    share = result.resources / (result.resources + flown)
    counted = dataclasses.replace(
        result,
        cpu=result.cpu * share,
        cpu_until_children=result.cpu_until_children * share,
        idle_cpu=result.idle_cpu * share,
    )
    return {**counted.to_report(), "canaries": flown}


def summarize_canaries(canaries: Canaries) -> Body:
    """Return the waits of the canaries in each phase."""
    return {phase.value: summarize_waits(canaries.waits(phase)) for phase in Phase}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
