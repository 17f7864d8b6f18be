"""Verdicts: an example of each value, and their error rates in a small simulation of the benchmark's traffic."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib.util
import math
import sys
from pathlib import Path

import pytest

from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import ArmCounters, PodReading
from tunewright_operator.domain.evidence.observation import (
    Comparison,
    LiveMetric,
    Observation,
    PastWindow,
    Test,
    absorb,
    open_observation,
)
from tunewright_operator.domain.evidence.verdict import Assessment, ErrorBudget, ObservationSpec, assess

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ERRORS = LiveMetric("ErrorRate", max_regression=0.02)
CONTRACT = LiveMetric("OutputContract", minimum=0.95)


def spread(count: int) -> tuple[int, ...]:
    return tuple(count // 64 + (bucket < count % 64) for bucket in range(64))


def arm(answers: int, errors: int = 0, breaches: int = 0, judged: int | None = None) -> ArmCounters:
    checked = {} if judged is None else {"OutputContract": spread(judged)}
    return ArmCounters(spread(answers), {"ErrorRate": spread(errors), "OutputContract": spread(breaches)}, checked)


def observe(
    metrics: list[LiveMetric], candidate: ArmCounters, incumbent: ArmCounters | None = None, **options
) -> Observation:
    opened = open_observation(0, metrics, [], options.pop("past", {}), NOW, **options)
    return absorb(opened, [PodReading("pod", "boot", candidate, incumbent or ArmCounters())])


def judge(observation: Observation, seconds: float = 60, **options) -> Assessment:
    metrics = options.pop("metrics", [ERRORS])
    settings = {"min_requests": 100, "max_seconds": 1800} | options
    spec = ObservationSpec(**settings, budget=ErrorBudget.share_out(0.95, metrics, 3))
    return assess(observation, spec, NOW + dt.timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("log_e_value", "comparison"),
    [
        (-4.0, "0.0183 < 60"),
        (4.0, "54.6 < 60"),
        (4.8, "122 ≥ 60"),
        (7.385, "1,610 ≥ 60"),
        (13.8, "985,000 ≥ 60"),
        (900.0, "over 1,000,000 ≥ 60"),
    ],
)
def test_an_e_value_is_compared_with_its_threshold_in_a_few_digits(log_e_value, comparison):
    (finding,) = judge(observe([ERRORS], arm(60, 30), arm(600, 12))).findings
    assert dataclasses.replace(finding, log_e_value=log_e_value).describe().endswith(f", e-value {comparison}")


@pytest.mark.parametrize(
    ("test", "limit", "text"),
    [
        (Test.INCUMBENT, 0.02, "incumbent 1/300 (0.333 %), allowed increase: 2 points"),
        (Test.INCUMBENT, 0.01, "incumbent 1/300 (0.333 %), allowed increase: 1 point"),
        (Test.INCUMBENT, 0.005, "incumbent 1/300 (0.333 %), allowed increase: 0.5 points"),
        (Test.LAST_WINDOW, 0.0523, "allowed after the incumbent's last window: 5.23 %"),
        (Test.MINIMUM, 0.05, "allowed: 5 %"),
    ],
)
def test_a_finding_names_the_rates_and_the_limit_in_percent(test, limit, text):
    (finding,) = judge(observe([ERRORS], arm(64, 18), arm(300, 1))).findings
    finding = dataclasses.replace(finding, test=test, limit=limit, log_e_value=0.0)
    assert finding.describe() == f"ErrorRate: bad answers 18/64 (28.1 %), {text}, e-value 1 < 60"


def test_a_finding_without_answers_names_no_rate():
    (finding,) = judge(observe([ERRORS], arm(0), arm(300, 1))).findings
    assert finding.describe().startswith("ErrorRate: bad answers 0/0, incumbent 1/300 (0.333 %), ")


def test_a_candidate_that_is_much_worse_fails_before_it_has_enough_requests():
    result = judge(observe([ERRORS], arm(60, 30), arm(600, 12)))
    assert result.verdict is Verdict.FAIL
    assert len(result.reasons) == 1
    assert "ErrorRate: bad answers 30/60 (50 %), " in result.reasons[0]
    assert ", incumbent 12/600 (2 %), allowed increase: 2 points, " in result.reasons[0]
    assert ", e-value over 1,000,000 ≥ 60" in result.reasons[0], "1 guard, 3 windows, 5 %"
    assert max(finding.e_value for finding in result.findings if finding.metric == "ErrorRate") > 60


def test_enough_requests_without_evidence_pass_with_a_detectable_drop():
    result = judge(observe([ERRORS], arm(200, 4), arm(1800, 36)))
    assert result.verdict is Verdict.PASS
    assert result.detectable_drop == pytest.approx(0.15, abs=0.06)
    assert ", e-value " in result.reasons[0]


def test_the_detectable_drop_starts_at_the_incumbents_rate_over_all_its_answers():
    past = {"ErrorRate": PastWindow(answers=1000, bad=300)}
    observation = observe([ERRORS], arm(200, 4), arm(1800, 36), past=past)
    (finding,) = judge(observation).findings
    assert finding.base == betting.guess_rate(1800 + 1000, 36 + 300)
    assert finding.detectable_drop == betting.detectable_rise(
        finding.base, 0.02, candidate=200, incumbent=1800, effect=finding.design_effect, alpha=0.05 / 3
    )


def test_the_detectable_drop_of_an_absolute_limit_starts_at_the_limit():
    observation = observe([CONTRACT], arm(200, 0, 2), comparison=Comparison.NONE)
    (finding,) = judge(observation, metrics=[CONTRACT]).findings
    assert finding.incumbent is None
    assert finding.base == finding.limit == pytest.approx(0.05)
    assert finding.detectable_drop == betting.detectable_rise(
        finding.limit, 0.0, candidate=200, incumbent=None, effect=finding.design_effect, alpha=0.05 / 3
    )


def test_a_candidate_within_the_margin_does_not_fail():
    result = judge(observe([ERRORS], arm(5000, 150), arm(45000, 900)))
    assert result.verdict is Verdict.PASS, "3 % against 2 %, an increase of 2 points is allowed"


@pytest.mark.parametrize(("candidate", "incumbent", "who"), [(99, 900, "candidate"), (300, 99, "incumbent")])
def test_too_few_requests_when_the_time_is_over_are_inconclusive(candidate, incumbent, who):
    observation = observe([ERRORS], arm(candidate, 1), arm(incumbent, 1))
    assert judge(observation, seconds=1799).verdict is None
    result = judge(observation, seconds=1800)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons == (f"the {who} has 99 of 100 answers after 1800 s",)


def test_answers_that_were_not_judged_do_not_count_as_enough():
    observation = observe([CONTRACT], arm(500, judged=40), arm(500))
    result = judge(observation, seconds=1800, metrics=[CONTRACT])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reasons[0] == "the candidate has 40 of 100 answers judged by OutputContract after 1800 s"


def test_just_enough_answers_are_enough():
    assert judge(observe([ERRORS], arm(100, 1), arm(100, 1))).verdict is Verdict.PASS
    judged = observe([CONTRACT], arm(500, judged=100), comparison=Comparison.NONE)
    assert judge(judged, metrics=[CONTRACT]).verdict is Verdict.PASS
    baked = observe([CONTRACT], arm(500, judged=1), comparison=Comparison.NONE)
    assert judge(baked, seconds=1800, full_window=True, min_requests=0, metrics=[CONTRACT]).verdict is Verdict.PASS


def test_a_window_without_a_readable_pod_is_an_error_only_at_its_end():
    opened = open_observation(0, [ERRORS], [], {}, NOW)
    assert judge(opened, seconds=1799).verdict is None
    result = judge(opened, seconds=1800)
    assert result.verdict is Verdict.ERROR
    assert "no server pod could be read in 1800 s" in result.reasons[0]


def test_a_full_window_passes_only_at_its_end_but_fails_at_once():
    good = observe([ERRORS], arm(5000, 100), arm(5000, 100))
    options = {"full_window": True, "min_requests": 0, "max_seconds": 600}
    waiting = judge(good, seconds=599, **options)
    assert waiting.verdict is None
    assert waiting.reasons == ("watched for 599 of 600 s",)
    assert judge(good, seconds=600, **options).verdict is Verdict.PASS
    assert judge(observe([ERRORS], arm(100, 60), arm(5000, 100)), seconds=1, **options).verdict is Verdict.FAIL


def test_without_an_incumbent_only_a_minimum_is_checked():
    metrics = [ERRORS, CONTRACT]
    good = observe(metrics, arm(200, 100, 4), comparison=Comparison.NONE)
    assert judge(good, metrics=metrics).verdict is Verdict.PASS, "no incumbent to be worse than"
    bad = observe(metrics, arm(200, 0, 80), comparison=Comparison.NONE)
    result = judge(bad, metrics=metrics)
    assert result.verdict is Verdict.FAIL
    assert "OutputContract: bad answers 80/200 (40 %), allowed: 5 %, " in result.reasons[0]


def test_a_window_without_live_metrics_still_needs_its_requests():
    assert judge(observe([], arm(99), arm(500)), metrics=[]).verdict is None
    result = judge(observe([], arm(100), arm(500)), metrics=[])
    assert result.verdict is Verdict.PASS
    assert result.reasons == ("the candidate has 100 answers, no live metric applies",)
    assert result.detectable_drop is None


def test_guards_and_windows_share_one_error_budget():
    both = LiveMetric("OutputContract", max_regression=0.02, minimum=0.95)
    budget = ErrorBudget.share_out(0.95, [ERRORS, both], 4)
    assert budget.guard_alpha == pytest.approx(0.05 / 12)
    finding = assess(observe([ERRORS, both], arm(100), arm(900)), ObservationSpec(100, 60, budget), NOW).findings[0]
    assert finding.log_threshold == pytest.approx(math.log(12 / 0.05))


def test_the_threshold_itself_is_enough():
    finding = judge(observe([ERRORS], arm(100), arm(900))).findings[0]
    assert dataclasses.replace(finding, log_e_value=finding.log_threshold).failed
    assert not dataclasses.replace(finding, log_e_value=finding.log_threshold - 1e-9).failed


def test_a_bet_in_a_bake_has_half_of_its_guards_error_budget():
    """The bound on the incumbent's last window uses the other half."""
    past = {"ErrorRate": PastWindow(answers=4000, bad=80)}
    result = judge(observe([ERRORS], arm(100), comparison=Comparison.LAST_WINDOW, past=past))
    assert result.findings[0].log_threshold == pytest.approx(math.log(2 * 3 / 0.05))


def test_one_guard_that_can_detect_nothing_leaves_no_detectable_drop():
    both = LiveMetric("ErrorRate", max_regression=0.02, minimum=0.9)
    tiny = {"ErrorRate": PastWindow(answers=1, bad=1)}
    result = judge(observe([both], arm(5000), comparison=Comparison.LAST_WINDOW, past=tiny), metrics=[both])
    assert [finding.detectable_drop is None for finding in result.findings] == [True, False]
    assert result.detectable_drop is None


@pytest.mark.parametrize(("confidence", "windows"), [(1.0, 1), (0.0, 1), (0.95, 0)])
def test_an_invalid_error_budget_is_refused(confidence, windows):
    with pytest.raises(ValueError, match=r"confidence|window"):
        ErrorBudget.share_out(confidence, [ERRORS], windows)


def test_failures_of_whole_sessions_weaken_the_evidence():
    """The same counts are a Fail when failures are spread evenly, but not when two sessions fail as a whole."""
    concentrated = (12, 12, *(0,) * 62)
    sessions = (*(12,) * 8, *(0,) * 56)
    alone = ArmCounters(sessions, {"ErrorRate": concentrated})
    spread_out = ArmCounters(spread(96), {"ErrorRate": spread(24)})
    incumbent = arm(960, 48)
    assert judge(observe([ERRORS], spread_out, incumbent)).verdict is Verdict.FAIL
    assert judge(observe([ERRORS], alone, incumbent)).verdict is not Verdict.FAIL


def bake(rows: list[tuple[int, int]]) -> list[Assessment]:
    """Assess a bake after each cumulative (answers, bad) of the candidate."""
    past = {"ErrorRate": PastWindow(answers=4000, bad=80)}
    seen = open_observation(3, [ERRORS], [], past, NOW, comparison=Comparison.LAST_WINDOW, guard_alpha=0.05 / 3)
    results = []
    for answers, bad in rows:
        seen = absorb(seen, [PodReading("pod", "boot", arm(answers, bad))])
        results.append(judge(seen, full_window=True, min_requests=0))
    return results


def test_a_bake_finds_a_regression_that_starts_late():
    clean = [(answers, answers // 50) for answers in range(20, 2001, 20)]
    late = [(2000 + extra, 40 + extra // 4) for extra in range(20, 301, 20)]
    results = bake(clean + late)
    stop = next(index for index, result in enumerate(results) if result.verdict is Verdict.FAIL)
    assert len(clean) <= stop < len(clean) + 10, "within 200 requests, although 2,000 good ones came before"
    assert results[stop].findings[0].test is Test.LAST_WINDOW


@pytest.mark.parametrize("answers", [0, 249])
def test_without_bad_answers_the_evidence_of_a_bake_is_at_most_one(answers):
    """A bet that has not started has a wealth of 1, and the shares of all bets sum to 1.
    With more, false alarms would be too frequent.
    """
    (result,) = bake([(answers, 0)])
    (finding,) = result.findings
    first = betting.log_e_value(betting.log_absolute_wealth(finding.limit, answers, 0), finding.design_effect)
    assert finding.e_value == pytest.approx(0.5 * math.exp(first) + 0.5)
    assert finding.e_value <= 1


def test_a_bake_without_an_incumbent_window_passes_without_a_detectable_drop():
    seen = observe([ERRORS], arm(200, 150), comparison=Comparison.LAST_WINDOW)
    result = judge(seen, seconds=1800, full_window=True, min_requests=0)
    assert result.verdict is Verdict.PASS
    assert result.detectable_drop is None


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
    stops = bench.measure(bench.Scenario(0.1, 0.02, 0.1, excess=0.02, horizon=2000), runs=60, seed=7)
    alarms = {rule: sum(stop is not None for stop in found) / 60 for rule, found in stops.items()}
    assert alarms["tunewright"] <= 0.05
    assert alarms["z-test"] >= 0.5
    assert alarms["last 100"] >= 0.9


def test_a_real_regression_is_found(bench):
    """+0.10 on 0.01 at 10 % of the traffic: all are found, after about 150 requests of the candidate."""
    stops = bench.measure(bench.Scenario(0.01, 0.01, 0.1, excess=0.1, horizon=1000), runs=20, seed=7)["tunewright"]
    assert all(stop is not None for stop in stops)
    assert sorted(stops)[10] <= 350
