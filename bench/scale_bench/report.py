"""The report of a run: the figures that documentation and targets name, and everything behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from scale_bench import loaded
from scale_bench.api import Body
from scale_bench.canary import Canaries, Phase, percentile
from scale_bench.loaded import Start
from scale_bench.options import Options
from scale_bench.throughput import Round, summarize
from tunewright_dev import commands
from tunewright_dev.errors import DevError

TUNEWRIGHT, PEER = "tunewright", "peer"


@dataclasses.dataclass(frozen=True)
class Results:
    """What was measured."""

    rounds: Mapping[str, Sequence[Round]]
    settled: bool
    """Whether the operator finished its work on the new world in time."""
    start: Start
    steady: Body
    backlog: Body
    canaries: Canaries
    peak_mib: float
    worst_lease_margin: float | None
    repairs: int | None


def build_report(options: Options, results: Results, machine: Body) -> Body:
    """Return the report as JSON values; a figure that the operator does not report is None."""
    throughput = {name: summarize(rounds) for name, rounds in results.rounds.items()}
    speed = throughput[TUNEWRIGHT]["resourcesPerSecond"]
    peer_speed = throughput[PEER]["resourcesPerSecond"] if PEER in throughput else None
    waits = results.canaries.waits(Phase.LISTING, Phase.BACKLOG)
    return {
        "jobs": options.jobs,
        "deployments": options.deployments,
        "servers": options.servers,
        "steadyCores": results.steady["cores"],
        "steadyMiB": results.steady["rssMiB"],
        "peakMiB": round(results.peak_mib, 1),
        "cpuMillisecondsPerJob": throughput[TUNEWRIGHT]["cpuMilliseconds"],
        "resourcesPerSecond": {TUNEWRIGHT: speed, PEER: peer_speed},
        "peerRatio": None if peer_speed is None else round(speed / peer_speed, 2),
        "canaryP50Seconds": percentile(waits, 50),
        "canaryP99Seconds": percentile(waits, 99),
        "worstLeaseMarginSeconds": results.worst_lease_margin,
        "repairs": results.repairs,
        "podsPerServer": options.pods,
        "training": options.training,
        "rollouts": options.rollouts,
        "peer": {"name": options.peer, "concurrency": options.peer_concurrency},
        "settled": results.settled,
        "start": results.start.to_report(),
        "steady": results.steady,
        "backlog": results.backlog,
        "canaries": loaded.summarize_canaries(results.canaries),
        "throughput": throughput,
        "commit": find_commit(options.source),
        "machine": machine,
    }


def find_commit(clone: Path) -> str | None:
    """Return the commit of a clone, with a mark if files were changed; None if it has no history."""
    try:
        return commands.capture(["git", "-C", clone, "describe", "--always", "--dirty", "--abbrev=10"]).strip()
    except DevError:
        return None


def format_summary(report: Body) -> str:
    """Return the main figures as lines of text."""
    speeds, start, backlog = report["resourcesPerSecond"], report["start"], report["backlog"]
    lines = {
        "steady": f"{report['steadyCores']} core, {report['steadyMiB']} MiB (peak {report['peakMiB']} MiB)",
        "CPU per new job": f"{report['cpuMillisecondsPerJob']} ms (full world: {backlog['cpuMilliseconds']} ms)",
        "resources/s": f"{speeds[TUNEWRIGHT]}, peer {speeds[PEER]} (ratio {report['peerRatio']})",
        "start": f"{start['cpuSecondsToSynced']} s of CPU to synced, {start['cpuSecondsToCaughtUp']} s to caught up",
        "canary": f"p50 {report['canaryP50Seconds']} s, p99 {report['canaryP99Seconds']} s",
        "Lease margin": f"{report['worstLeaseMarginSeconds']} s at worst",
        "repairs": str(report["repairs"]),
    }
    return "\n".join(f"{name:<18}{text}" for name, text in lines.items())
