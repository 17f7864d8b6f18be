"""How a server pod's counters become evidence."""

from __future__ import annotations

import datetime as dt

import pytest

from tunewright_contracts.serving_plan import BUCKETS, LATENCY_BOUNDS_MILLISECONDS, PodState, RevisionCounters
from tunewright_operator.api.adapter_deployment import AdapterDeploymentSpec
from tunewright_operator.domain.evidence.counters import ArmCounters, PodReading
from tunewright_operator.domain.evidence.guard import MAX_REGRESSION, Comparison, LiveMetric, Test
from tunewright_operator.domain.evidence.observation import Observation
from tunewright_operator.domain.evidence.window import (
    build_window,
    count_requests,
    format_share,
    open_window,
    read_pods,
    watch,
)


def buckets(*first: int) -> tuple[int, ...]:
    return (*first, *(0,) * (BUCKETS - len(first)))


def state(**counters: object) -> PodState:
    entry = RevisionCounters(alias="support", revision="support--new", answers_by_bucket=buckets(9, 4), **counters)
    return PodState(pod_uid="pod", boot_id="boot", counters=(entry,))


def test_unchecked_answers_are_judged_by_every_metric_but_the_contract() -> None:
    seen = state(bad_by_bucket={"OutputContract": buckets(1)}, unchecked_by_bucket=buckets(2, 3))
    (reading,) = read_pods([seen], "support", "support--new", None)
    assert reading.candidate.judged["OutputContract"] == buckets(7, 1)
    assert reading.candidate.bad["OutputContract"] == buckets(1)
    assert "ErrorRate" not in reading.candidate.judged
    assert reading.candidate.answers == buckets(9, 4)


def test_a_server_that_does_not_report_unchecked_answers_checked_them_all() -> None:
    (reading,) = read_pods([state()], "support", "support--new", None)
    assert reading.candidate.judged["OutputContract"] == buckets(9, 4)


@pytest.mark.parametrize("unchecked", [buckets(10), (1, 2)])
def test_inconsistent_counters_give_no_reading(unchecked: tuple[int, ...]) -> None:
    assert read_pods([state(unchecked_by_bucket=unchecked)], "support", "support--new", None) == []


def test_a_pod_that_does_not_count_by_bucket_gives_no_reading() -> None:
    whole = state(answers=13, unchecked_by_bucket=buckets(0))
    entry = whole.counters[0].model_copy(update={"answers_by_bucket": (), "unchecked_by_bucket": ()})
    without_route = whole.model_copy(update={"counters": (entry,)})
    assert read_pods([without_route], "support", "support--new", None) == []


def test_an_incumbent_without_answers_since_the_rollout_counts_as_zero_answers() -> None:
    entry = RevisionCounters(alias="support", revision="support--old", answers=7, unchecked_by_bucket=buckets(0))
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(entry,))
    (reading,) = read_pods([seen], "support", "support--new", "support--old")
    assert sum(reading.incumbent.answers) == 0


STEPS = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 30, "maxSeconds": 60}}, {"observe": {}}]


def make_spec(*metrics: dict[str, str], bake_seconds: int = 600) -> AdapterDeploymentSpec:
    return AdapterDeploymentSpec.model_validate(
        {
            "modelName": "support",
            "serverRef": {"name": "pool"},
            "adapter": {"uri": "s3://models/team/a"},
            "storage": {"secretRef": {"name": "s3"}},
            "rollout": {"steps": STEPS, "bakeSeconds": bake_seconds},
            "analysis": {"metrics": list(metrics)},
        }
    )


ERRORS, LATENCY = {"type": "ErrorRate", "maxRegression": "0.01"}, {"type": "Latency", "maxRatio": "1.5"}


def test_the_largest_rise_that_the_api_accepts_can_be_tested() -> None:
    spec = make_spec({"type": "ErrorRate", "maxRegression": "0.999999"})
    window = build_window(spec, 2, has_incumbent=True, slow_limit_known=False)
    assert window.metrics[0].max_regression == MAX_REGRESSION


@pytest.mark.parametrize(("bake_seconds", "windows"), [(600, 3), (0, 2)])
def test_all_windows_of_a_rollout_share_the_error_budget(bake_seconds: int, windows: int) -> None:
    window = build_window(make_spec(ERRORS, bake_seconds=bake_seconds), 2, has_incumbent=True, slow_limit_known=False)
    assert window.rules.budget.windows == windows, "two observe steps, and the bake where there is one"
    assert window.rules.budget.guard_alpha == pytest.approx(0.05 / 1.25 / windows), "one guard and a quarter"


def test_a_step_needs_answers_and_a_bake_needs_its_time() -> None:
    step = build_window(make_spec(ERRORS), 2, has_incumbent=True, slow_limit_known=False)
    assert (step.comparison, step.rules.min_requests, step.rules.max_seconds) == (Comparison.INCUMBENT, 30, 60)
    assert not step.rules.full_window
    bake = build_window(make_spec(ERRORS), 4, has_incumbent=True, slow_limit_known=False)
    assert (bake.comparison, bake.rules.min_requests, bake.rules.max_seconds) == (Comparison.LAST_WINDOW, 0, 600)
    assert bake.rules.full_window
    first = build_window(make_spec(ERRORS), 4, has_incumbent=False, slow_limit_known=False)
    assert first.comparison is Comparison.NONE


@pytest.mark.parametrize(
    ("has_incumbent", "slow_limit_known", "words"),
    [
        (True, True, None),
        (True, False, "the incumbent had fewer than 50 answers when the rollout began"),
        (False, False, "there is no incumbent to compare with"),
    ],
)
def test_latency_is_judged_by_a_limit_from_the_incumbent_or_listed_as_not_judged(
    has_incumbent: bool, slow_limit_known: bool, words: str | None
) -> None:
    options = {"has_incumbent": has_incumbent, "slow_limit_known": slow_limit_known}
    window = build_window(make_spec(ERRORS, LATENCY), 2, **options)
    judged = ["ErrorRate", *(["Latency"] if words is None else []), "Abandoned"]
    assert [metric.name for metric in window.metrics] == judged
    assert window.not_judged == (() if words is None else (f"Latency is not judged: {words}",))
    assert build_window(make_spec(ERRORS), 2, **options).not_judged == (), "the spec has no latency metric"


def reading(name: str, answers: int, bad: int) -> PodReading:
    incumbent = ArmCounters(buckets(answers), {"ErrorRate": buckets(bad)})
    return PodReading(name, "boot", ArmCounters(buckets(0), {"ErrorRate": buckets(0)}), incumbent)


def test_a_bake_is_compared_with_the_last_window_or_without_one_with_all_counts() -> None:
    spec, now = make_spec(ERRORS), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    step = build_window(spec, 2, has_incumbent=True, slow_limit_known=False)
    bake = build_window(spec, 4, has_incumbent=True, slow_limit_known=False)
    pods = [reading("a", 400, 4), reading("b", 600, 8)]
    opened = open_window(step, None, pods, now)
    assert opened.guards[0].before == (1000, 12), "the first bet uses it"
    grown, _ = watch(step, opened, [reading("a", 450, 5), reading("b", 650, 8)], {"a", "b"}, now)

    def base(of: Observation | None) -> float | None:
        guard = open_window(bake, of, pods, now).guards[0]
        assert (guard.metric, guard.test) == ("ErrorRate", Test.LAST_WINDOW)
        return guard.base

    assert base(grown) == 1 / 100
    assert base(None) == 12 / 1000


@pytest.mark.parametrize(
    ("answers", "expected"), [(100, (100, 5)), (99, (1099, 15))], ids=["a long last window", "a short last window"]
)
def test_a_bake_after_a_short_window_is_compared_with_a_longer_past(answers: int, expected: tuple[int, int]) -> None:
    spec, now = make_spec(ERRORS), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    step = build_window(spec, 2, has_incumbent=True, slow_limit_known=False)
    bake = build_window(spec, 4, has_incumbent=True, slow_limit_known=False)
    opened = open_window(step, None, [reading("a", 1000, 10)], now)
    grown, _ = watch(step, opened, [reading("a", 1000 + answers, 15)], {"a"}, now)
    after = open_window(bake, grown, [reading("b", 40, 40)], now)
    assert after.guards[0].past == expected, "the pod restarted: its own counters are a shorter past"


def test_the_past_of_a_step_is_what_the_pods_have_counted_since_they_started() -> None:
    """Before the rollout, answers were not counted by bucket."""
    latency = [0] * 49
    latency[10], latency[20], latency[48] = 900, 60, 40
    entry = RevisionCounters(
        alias="support",
        revision="support--old",
        answers=1000,
        bad={"ErrorRate": 20, "OutputContract": 9},
        unchecked=100,
        requests=1050,
        abandoned=50,
        latency_milliseconds=tuple(latency),
        answers_by_bucket=buckets(2),
        requests_by_bucket=buckets(3),
    )
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(entry,))
    metrics = [ERRORS, {"type": "OutputContract", "maxRegression": "0.02"}, LATENCY]
    window = build_window(make_spec(*metrics), 2, has_incumbent=True, slow_limit_known=True)
    limit = LATENCY_BOUNDS_MILLISECONDS[15] + 1
    readings = read_pods([seen], "support", "support--new", "support--old", limit)
    opened = open_window(window, None, readings, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    past = {guard.metric: guard.fallback.past for guard in opened.guards if guard.fallback is not None}
    assert past == {
        "ErrorRate": (1000, 20),
        "OutputContract": (900, 9),
        "Latency": (1000, 100),
        "Abandoned": (1050, 50),
    }


def test_a_bucket_of_the_histogram_that_contains_the_limit_counts_as_slow() -> None:
    latency = [0] * 49
    latency[15] = 10
    entry = RevisionCounters(
        alias="support",
        revision="support--old",
        answers=10,
        latency_milliseconds=tuple(latency),
        answers_by_bucket=buckets(10),
    )
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(entry,))
    bound = LATENCY_BOUNDS_MILLISECONDS[15]
    for limit, slow in ((bound - 1, 10), (bound, 0), (bound + 1, 0)):
        (read,) = read_pods([seen], "support", "support--new", "support--old", limit)
        assert read.incumbent.since_boot["Latency"] == (10, slow)


@pytest.mark.parametrize(
    ("metrics", "has_incumbent", "expected"),
    [
        ([ERRORS], True, LiveMetric("Abandoned", max_regression=0.01, budget=0.25)),
        ([ERRORS], False, LiveMetric("Abandoned")),
        ([{"type": "ErrorRate", "minimum": "0.9"}], True, LiveMetric("Abandoned", max_regression=0.05, budget=0.25)),
        (
            [{"type": "ErrorRate", "maxRegression": "0.99"}],
            True,
            LiveMetric("Abandoned", max_regression=0.9, budget=0.25),
        ),
        ([LATENCY], True, LiveMetric("Abandoned")),
    ],
)
def test_abandoned_requests_are_judged_whenever_errors_are_compared(
    metrics: list[dict[str, str]], has_incumbent: bool, expected: LiveMetric
) -> None:
    window = build_window(make_spec(*metrics), 2, has_incumbent=has_incumbent, slow_limit_known=True)
    assert window.metrics[-1] == expected


def test_requests_are_counted_with_or_without_an_answer() -> None:
    counters = {
        "requests": 16,
        "abandoned": 3,
        "requests_by_bucket": buckets(9, 7),
        "abandoned_by_bucket": buckets(0, 3),
    }
    (new,) = read_pods([state(**counters)], "support", "support--new", None)
    assert new.candidate.requests == buckets(9, 7)
    assert new.candidate.bad["Abandoned"] == buckets(0, 3)
    assert new.candidate.judged["Abandoned"] == buckets(9, 7)
    (old,) = read_pods([state()], "support", "support--new", None)
    assert (old.candidate.requests, old.candidate.all_requests) == (None, buckets(9, 4))
    assert "Abandoned" not in old.candidate.bad, "a server of an earlier release does not count them"


def test_a_revision_without_any_complete_answer_is_read() -> None:
    entry = RevisionCounters(
        alias="support",
        revision="support--new",
        requests=5,
        abandoned=5,
        requests_by_bucket=buckets(5),
        abandoned_by_bucket=buckets(5),
    )
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(entry,))
    (read,) = read_pods([seen], "support", "support--new", None)
    assert (sum(read.candidate.answers), read.candidate.bad["Abandoned"]) == (0, buckets(5))
    unusable = entry.model_copy(update={"requests_by_bucket": ()})
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(unusable,))
    assert read_pods([seen], "support", "support--new", None) == []


def test_the_status_shows_the_measured_share_and_both_arms_counts() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    window = build_window(make_spec(ERRORS), 2, has_incumbent=True, slow_limit_known=False)
    arms = [
        ArmCounters(buckets(20), {"Abandoned": buckets(5)}, {"Abandoned": buckets(25)}, requests=buckets(25)),
        ArmCounters(buckets(70), {"Abandoned": buckets(3)}, {"Abandoned": buckets(75)}, requests=buckets(75)),
    ]
    opened = open_window(window, None, [], now, weight=20)
    assert format_share(opened) is None
    grown, _ = watch(window, opened, [PodReading("a", "boot", *arms)], {"a"}, now)
    assert format_share(grown) == "25.0"
    assert count_requests(grown).to_wire() == {
        "candidate": {"requests": 25, "answers": 20, "abandoned": 5},
        "stable": {"requests": 75, "answers": 70, "abandoned": 3},
    }
