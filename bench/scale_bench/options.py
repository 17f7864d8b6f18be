"""The size of a run, as the command line gives it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
REPORT = CLONE / "build" / "bench" / "scale.json"
RAY_OPERATOR, NO_PEER = "ray-operator", "none"
MAX_TRAINING = 200
MAX_NAMESPACES = 100


@dataclasses.dataclass(frozen=True)
class Options:
    """What to create, and how long to measure."""

    jobs: int = 10_000
    """FineTuneJobs; all but ``training`` of them have succeeded."""
    deployments: int = 1_000
    servers: int = 100
    pods: int = 4
    """Replicas of each server."""
    training: int = 200
    """FineTuneJobs whose trainer runs and reports progress."""
    rollouts: int = 50
    """AdapterDeployments that observe a candidate."""
    batch: int = 200
    """New resources in each round of the throughput and in the backlog."""
    rounds: int = 3
    peer: str = RAY_OPERATOR
    peer_concurrency: int = 10
    """How many resources the peer reconciles at the same time; its own default is 1."""
    steady_seconds: float = 120.0
    source: Path = CLONE
    """The clone whose operator is measured."""
    report: Path = REPORT

    @property
    def namespaces(self) -> int:
        """The number of tenants."""
        return max(2, min(MAX_NAMESPACES, self.jobs // 100))

    @property
    def ended(self) -> int:
        """The number of jobs that have succeeded."""
        return self.jobs - self.training

    @property
    def has_peer(self) -> bool:
        """Return whether another operator is measured in the same run."""
        return self.peer != NO_PEER


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; wrong ones end the program with a message."""
    parser = argparse.ArgumentParser(prog="reconcile_scale.py", description="Measure the operator at scale.")
    defaults = Options()

    def add(name: str, meaning: str, default: object = None, **more: object) -> None:
        shown = f"{meaning} (default: {default})" if default is not None else meaning
        parser.add_argument(f"--{name}", help=shown, default=default, **more)  # type: ignore[arg-type]

    add("jobs", "FineTuneJobs", defaults.jobs, type=int)
    add("deployments", "AdapterDeployments", defaults.deployments, type=int)
    add("servers", "ModelServers", defaults.servers, type=int)
    add("pods", "replicas of each ModelServer", defaults.pods, type=int)
    add("training", f"jobs that train (default: 2 %% of the jobs, at most {MAX_TRAINING})", type=int)
    add("rollouts", "deployments that observe a candidate (default: 5 %% of the deployments)", type=int)
    add("batch", "new resources in each round and in the backlog", defaults.batch, type=int)
    add("rounds", "rounds of the throughput", defaults.rounds, type=int)
    add("peer", "the operator to compare with", defaults.peer, choices=[RAY_OPERATOR, NO_PEER])
    add("peer-concurrency", "the peer's concurrency; its own default is 1", defaults.peer_concurrency, type=int)
    add("steady-seconds", "how long the steady state is measured", defaults.steady_seconds, type=float)
    add("source", "the clone whose operator is measured", defaults.source, type=Path)
    add("report", "the file to write", defaults.report, type=Path)
    named = vars(parser.parse_args(arguments))
    if named["training"] is None:
        named["training"] = min(MAX_TRAINING, named["jobs"] // 50)
    if named["rollouts"] is None:
        named["rollouts"] = named["deployments"] // 20
    options = Options(**named)
    problem = find_problem(options)
    if problem:
        parser.error(problem)
    return options


def find_problem(options: Options) -> str:
    """Return why a run of this size is impossible; empty if it is possible."""
    if min(options.jobs, options.deployments, options.servers, options.pods, options.batch, options.rounds) < 1:
        return "sizes are at least 1"
    if options.training > options.jobs or options.rollouts > options.deployments:
        return "--training is at most --jobs, and --rollouts at most --deployments"
    if options.ended < options.namespaces:
        return f"--jobs minus --training is at least {options.namespaces}: each tenant needs a job with an adapter"
    if not (options.source / "operator" / "src").is_dir():
        return f"--source {options.source} is not a clone of this repository"
    return ""
