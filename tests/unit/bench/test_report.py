from __future__ import annotations

from collections import Counter

from scale_bench.loaded import Start
from scale_bench.options import Options
from scale_bench.report import PEER, TUNEWRIGHT, Results, build_report, format_summary
from scale_bench.throughput import Round

NAMED = {
    "jobs",
    "deployments",
    "servers",
    "steadyCores",
    "steadyMiB",
    "cpuMillisecondsPerJob",
    "resourcesPerSecond",
    "peerRatio",
    "canaryP99Seconds",
    "worstLeaseMarginSeconds",
    "repairs",
}


class Canaries:
    def waits(self, *phases):
        return [0.1] * 98 + [0.4, 0.9] if phases else []


def make_results(**changes) -> Results:
    def rounds(seconds: float) -> list[Round]:
        return [Round(10, seconds, 0.1, 0.1, 0.08, 0.02, {}, Counter(), 90.0)] * 3

    values = {
        "rounds": {TUNEWRIGHT: rounds(0.5), PEER: rounds(0.4)},
        "settled": True,
        "start": Start(3.0, 2.0, None, None),
        "steady": {"cores": 0.25, "rssMiB": 300.0},
        "backlog": {"cpuMilliseconds": 5.5},
        "canaries": Canaries(),
        "peak_mib": 333.33,
        "worst_lease_margin": 7.0,
        "repairs": 0,
    }
    return Results(**(values | changes))


def test_the_report_has_the_figures_that_targets_name():
    report = build_report(Options(), make_results(), {})
    assert report.keys() >= NAMED
    assert report["resourcesPerSecond"] == {"tunewright": 20.0, "peer": 25.0}
    assert (report["peerRatio"], report["cpuMillisecondsPerJob"]) == (0.8, 6.0)
    assert (report["canaryP50Seconds"], report["canaryP99Seconds"]) == (0.1, 0.4)
    assert (report["steadyCores"], report["steadyMiB"], report["peakMiB"]) == (0.25, 300.0, 333.3)
    summary = format_summary(report)
    assert "20.0, peer 25.0 (ratio 0.8)" in summary
    assert "7.0 s at worst" in summary


def test_without_a_peer_there_is_no_ratio():
    results = make_results(repairs=None)
    results.rounds.pop(PEER)
    report = build_report(Options(), results, {})
    assert report["resourcesPerSecond"] == {"tunewright": 20.0, "peer": None}
    assert (report["peerRatio"], report["repairs"]) == (None, None)
