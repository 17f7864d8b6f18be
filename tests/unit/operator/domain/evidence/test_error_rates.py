"""The error rates of verdicts in a small simulation of the benchmark's traffic, and the benchmark's report."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from support.examples import examples


@pytest.fixture(scope="module")
def bench():
    """The benchmark as a module: the traffic and the rules behind the table in the documentation."""
    path = Path(__file__).parents[5] / "bench" / "verdict_error_rates.py"
    spec = importlib.util.spec_from_file_location("verdict_error_rates", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_false_alarms_stay_below_alpha_although_a_z_test_rolls_back_most(bench):
    """At the boundary of the null hypothesis, with sessions and a check every 20 requests.
    Bets that ignore sessions fail this test, too.
    """
    runs = examples(20)
    stops = bench.measure(bench.Scenario(0.1, 0.02, 0.1, excess=0.02, horizon=2000), runs=runs, seed=7)
    alarms = {rule: sum(stop is not None for stop in found) / runs for rule, found in stops.items()}
    assert alarms["tunewright"] <= 0.05
    assert alarms["z-test"] >= 0.5
    assert alarms["last 100"] >= 0.9


def test_a_real_regression_is_found(bench):
    """+0.10 on 0.01 at 10 % of the traffic: all are found, after about 150 requests of the candidate."""
    stops = bench.measure(bench.Scenario(0.01, 0.01, 0.1, excess=0.1, horizon=1000), runs=20, seed=7)["tunewright"]
    assert all(stop is not None for stop in stops)
    assert sorted(stops)[10] <= 350


def test_the_report_has_the_worst_cell_and_the_power(bench, tmp_path, capsys):
    path = tmp_path / "bench" / "verdict.json"
    bench.main(["--report", str(path), "--runs", "2", "--horizon", "200", "--processes", "1"])
    report = json.loads(path.read_text())
    names = {cell.name for cell in bench.CELLS}
    assert len(names) == len(bench.CELLS)
    assert all(cell.at_boundary for cell in bench.CELLS)
    assert report["falseRollbackPercent"].keys() == names
    assert report["worstFalseRollbackPercent"] == max(report["falseRollbackPercent"].values())
    assert report["runsPerCell"] == 2
    assert 0 <= report["power10PointsPercent"] <= 100
    assert "medianRequestsToDetect" in report
    assert f"{len(bench.CELLS) + 1}/{len(bench.CELLS) + 1}, 0 s left: " in capsys.readouterr().out


def test_the_report_is_computed_from_the_runs_of_each_cell(bench):
    stops = {"a": [None] * 97 + [20] * 3, "b": [None] * 100, bench.POWER.name: [100] * 50 + [300] * 49 + [None]}
    report = bench.build_report(stops, runs=100, seconds=7.4)
    assert report == {
        "worstFalseRollbackPercent": 3.0,
        "power10PointsPercent": 99.0,
        "medianRequestsToDetect": 100.0,
        "runsPerCell": 100,
        "falseRollbackPercent": {"a": 3.0, "b": 0.0},
        "seconds": 7,
    }


def test_one_client_of_the_traffic_has_its_share_of_an_arm(bench):
    scenario = bench.Scenario(0.1, 0.02, 0.1, horizon=2000, heavy=(0.0, 0.3))
    traffic = bench.generate(scenario, np.random.default_rng(1))
    incumbent, candidate = traffic.answers[-1]
    assert candidate.max() / candidate.sum() == pytest.approx(0.3, abs=0.05)
    assert incumbent.max() / incumbent.sum() < 0.05
    assert candidate.sum() / (candidate.sum() + incumbent.sum()) == pytest.approx(0.1, abs=0.02)


def test_few_sessions_of_the_traffic_have_few_buckets(bench):
    scenario = bench.Scenario(0.1, 0.02, 0.5, horizon=2000, keys=10)
    traffic = bench.generate(scenario, np.random.default_rng(1))
    assert [np.count_nonzero(arm) <= 5 for arm in traffic.answers[-1]] == [True, True]
    assert traffic.answers[-1, 1].sum() / traffic.answers[-1].sum() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", range(12))
def test_no_kind_of_traffic_causes_false_rollbacks_often(bench, kind):
    """A few short runs at the boundary; `make bench-verdict` measures the 5 %."""
    cell = bench.CELLS[kind]
    short = dataclasses.replace(cell, scenario=dataclasses.replace(cell.scenario, horizon=600))
    stops = bench.measure_chunk(short, 8, np.random.SeedSequence(5))
    assert sum(stop is not None for stop in stops) <= 1


def test_a_drop_of_ten_points_is_found(bench):
    stops = bench.measure_chunk(bench.POWER, 6, np.random.SeedSequence(5))
    assert all(stop is not None for stop in stops)
