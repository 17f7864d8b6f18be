from __future__ import annotations

from collections import Counter

from scale_bench.throughput import Round, summarize


def make_round(seconds: float, cpu: float, calls: dict[str, int]) -> Round:
    return Round(
        resources=10,
        seconds=seconds,
        creation_seconds=0.5,
        cpu_until_children=cpu / 2,
        cpu=cpu + 0.05,
        idle_cpu=0.05,
        control_plane_cpu={"etcd": 0.1},
        calls=Counter(calls),
        rss_mib=100.0,
    )


def test_rounds_are_summarized_by_their_median_and_spread():
    rounds = [
        make_round(1.0, 0.1, {"create jobs": 10, "get leases": 4}),
        make_round(2.0, 0.3, {"create jobs": 10}),
        make_round(5.0, 0.2, {"create jobs": 10, "create events": 15}),
    ]
    report = summarize(rounds)
    assert (report["resourcesPerSecond"], report["resourcesPerSecondSpread"]) == (5.0, [2.0, 10.0])
    assert (report["cpuMilliseconds"], report["cpuMillisecondsSpread"]) == (20.0, [10.0, 30.0])
    assert report["calls"] == {"create events": 0.5, "create jobs": 1.0, "get leases": 0.13}
    assert report["callsByVerb"] == {"create": 1.5, "get": 0.13}
    assert [one["cpuMillisecondsWithIdle"] for one in report["rounds"]] == [15.0, 35.0, 25.0]
    assert [one["resourcesPerSecond"] for one in report["rounds"]] == [10.0, 5.0, 2.0]
    assert report["rounds"][0]["controlPlaneCpuMilliseconds"] == {"etcd": 10.0}
