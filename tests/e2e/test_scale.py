"""A small run of the benchmark: what the operator asks of the API server, counted by the API server's audit log.

It starts a control plane of its own, beside the cluster. Calls are counted and no times, so that nothing here depends
on how fast the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from scale_bench.options import NO_PEER, Options
from scale_bench.run import run

pytestmark = pytest.mark.e2e

OPTIONS = Options(
    jobs=24,
    deployments=6,
    servers=2,
    pods=2,
    training=2,
    rollouts=1,
    batch=10,
    rounds=1,
    peer=NO_PEER,
    steady_seconds=20,
)
ALWAYS = {"get leases", "update leases"}
"""The calls of the leader election, which depend on time only."""
OF_A_NEW_JOB = {
    "create configmaps": 1,
    "create jobs": 1,
    "create events": 1,
    # The pod may be reported before the Job is recorded.
    "update finetunejobs/status": 2,
    # Its namespace has no other job, which would share this. A second one is possible when 5 s have passed.
    "get secrets": 2,
}
"""How many calls a new job may cost until its pod waits for a node."""
DRIFT = ("configmaps", "deployments", "poddisruptionbudgets", "services")
"""The objects of a server that are compared and applied every minute."""


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The report of the run."""
    return asyncio.run(run(OPTIONS))


def without_lease(calls: Mapping[str, float]) -> dict[str, float]:
    return {what: number for what, number in calls.items() if what not in ALWAYS and not what.startswith("watch ")}


def test_the_operator_finishes_its_work(report: dict[str, Any]) -> None:
    assert report["settled"]
    assert report["start"]["cpuSecondsToCaughtUp"] is not None
    assert report["backlog"]["canaries"] > 0
    assert report["repairs"] == 0


def test_a_new_job_costs_the_fewest_possible_calls(report: dict[str, Any]) -> None:
    calls = without_lease(report["throughput"]["tunewright"]["calls"])
    assert calls.keys() == OF_A_NEW_JOB.keys()
    assert {what: number for what, number in calls.items() if number > OF_A_NEW_JOB[what]} == {}
    assert all(number >= 1 for what, number in calls.items() if what.startswith("create "))


def test_the_steady_state_lists_nothing_and_writes_only_progress_and_evidence(report: dict[str, Any]) -> None:
    steady = report["steady"]
    counts = {what: rate * steady["seconds"] for what, rate in without_lease(steady["callsPerSecond"]).items()}
    minutes = 1 + steady["seconds"] // 60
    at_most = {
        "update finetunejobs/status": OPTIONS.training * (1 + steady["seconds"] / 15),
        # A young window records its evidence more often than twice a minute.
        "update adapterdeployments/status": OPTIONS.rollouts * steady["seconds"] / 2,
        "get secrets": minutes,
        "get namespaces": minutes * (OPTIONS.namespaces + 1),
        "get configmaps": 3 * minutes * OPTIONS.servers,
        **{f"get {kind}": minutes * OPTIONS.servers for kind in DRIFT if kind != "configmaps"},
        **{f"patch {kind}": minutes * OPTIONS.servers for kind in DRIFT},
    }
    assert counts.keys() <= at_most.keys()
    assert {what: number for what, number in counts.items() if number > at_most[what] + 0.5} == {}


def test_the_report_is_complete(report: dict[str, Any]) -> None:
    assert report["steadyCores"] > 0
    assert report["peakMiB"] >= report["steadyMiB"] > 0
    assert report["worstLeaseMarginSeconds"] is not None
    assert report["resourcesPerSecond"]["tunewright"] > 0
