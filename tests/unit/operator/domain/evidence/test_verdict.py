"""Verdicts: an example of each value, and of each comparison that leads to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import pytest

from support.evidence import absorb
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import ArmCounters, PodReading
from tunewright_operator.domain.evidence.exposure import Concern
from tunewright_operator.domain.evidence.guard import Comparison, LiveMetric, PastWindow, Test
from tunewright_operator.domain.evidence.observation import Observation, open_observation
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
    now = NOW + dt.timedelta(seconds=seconds)
    return assess(observation.updated(read_at=now, watched_seconds=float(seconds)), spec, now)


@pytest.mark.parametrize(
    ("log_e_value", "comparison"),
    [
        (-4.0, "0.0183 < 67"),
        (4.0, "54.6 < 67"),
        (4.8, "122 ≥ 67"),
        (7.385, "1,610 ≥ 67"),
        (13.8, "985,000 ≥ 67"),
        (900.0, "over 1,000,000 ≥ 67"),
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
        (
            Test.LAST_WINDOW,
            0.0523,
            "incumbent 1/300 (0.333 %), allowed after the incumbent's past of 20/1000 (2 %): 5.23 %",
        ),
        (Test.LAST_WINDOW, 1.0, "incumbent 1/300 (0.333 %), nothing is known of the incumbent's past (20/1000 (2 %))"),
        (Test.MINIMUM, 0.05, "incumbent 1/300 (0.333 %), allowed: 5 %"),
        (Test.EVERY_ANSWER, 0.5, "incumbent 1/300 (0.333 %), allowed: not every answer"),
    ],
)
def test_a_finding_names_the_rates_and_the_limit_in_percent(test, limit, text):
    (finding,) = judge(observe([ERRORS], arm(64, 18), arm(300, 1))).findings
    finding = dataclasses.replace(finding, test=test, limit=limit, past=(1000, 20), log_e_value=0.0)
    assert finding.describe() == f"ErrorRate: bad answers 18/64 (28.1 %), {text}, e-value 1 < 67"


def test_a_finding_without_answers_names_no_rate():
    (finding,) = judge(observe([ERRORS], arm(0), arm(300, 1))).findings
    assert finding.describe().startswith("ErrorRate: bad answers 0/0, incumbent 1/300 (0.333 %), ")


def test_a_candidate_that_is_much_worse_fails_before_it_has_enough_requests():
    result = judge(observe([ERRORS], arm(60, 30), arm(600, 12)))
    assert result.verdict is Verdict.FAIL
    assert len(result.reasons) == 1
    assert "ErrorRate: bad answers 30/60 (50 %), " in result.reasons[0]
    assert ", incumbent 12/600 (2 %), allowed increase: 2 points, " in result.reasons[0]
    assert ", e-value over 1,000,000 ≥ 67" in result.reasons[0], "1 guard, 3 windows, nine tenths of 5 %"
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
        finding.base, 0.02, candidate=200, incumbent=1800, effect=finding.design_effect, alpha=0.9 * 0.05 / 3
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
    other = f"the candidate has {candidate}" if who == "incumbent" else f"the incumbent has {incumbent}"
    assert result.reasons == (f"the {who} has 99 of 100 answers after 1800 s", f"{other} answers after 1800 s")


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


def test_a_window_whose_ready_pods_cannot_be_read_is_an_error_and_never_inconclusive():
    opened = open_observation(0, [ERRORS], [], {}, NOW)
    spec = ObservationSpec(100, 1800, ErrorBudget.share_out(0.95, [ERRORS], 3))
    for seconds, verdict in ((30, None), (31, Verdict.ERROR), (1800, Verdict.ERROR), (90_000, Verdict.ERROR)):
        result = assess(opened, spec, NOW + dt.timedelta(seconds=seconds))
        assert result.verdict is verdict
    assert (
        "no ready server pod could be read since 2026-01-01T00:00:00Z, and this time does not count"
        in result.reasons[0]
    )
    assert result.reasons[1:] == ("the candidate has 0 answers", "the incumbent has 0 answers")


def test_a_full_window_passes_only_at_its_end_but_fails_at_once():
    good = observe([ERRORS], arm(5000, 100), arm(5000, 100))
    options = {"full_window": True, "min_requests": 0, "max_seconds": 600}
    waiting = judge(good, seconds=599, **options)
    assert waiting.verdict is None
    assert waiting.reasons == (
        "watched for 599 of 600 s",
        "the candidate has 5000 answers",
        "the incumbent has 5000 answers",
    )
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
    assert result.reasons == ("the candidate has 100 answers, the incumbent has 500 answers, no live metric applies",)
    assert result.detectable_drop is None


def test_guards_and_windows_share_one_error_budget():
    both = LiveMetric("OutputContract", max_regression=0.02, minimum=0.95)
    budget = ErrorBudget.share_out(0.95, [ERRORS, both], 4)
    assert budget.guard_alpha == pytest.approx(0.05 / 12)
    finding = assess(observe([ERRORS, both], arm(100), arm(900)), ObservationSpec(100, 60, budget), NOW).findings[0]
    assert finding.log_threshold == pytest.approx(math.log(12 / 0.05 / 0.9)), "a tenth is for the incumbent's past"


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


PAST = {"ErrorRate": PastWindow(answers=2000, bad=40)}


@pytest.mark.parametrize(
    ("candidate", "incumbent", "past", "verdict", "words"),
    [
        pytest.param(
            arm(200, 60),
            arm(0),
            PAST,
            Verdict.FAIL,
            "incumbent 0/0, allowed after the incumbent's past",
            id="no traffic",
        ),
        pytest.param(
            arm(200, 60),
            arm(4, 0),
            PAST,
            Verdict.FAIL,
            "incumbent 0/4 (0 %), allowed after",
            id="too little traffic",
        ),
        pytest.param(
            arm(200, 6), arm(0), PAST, Verdict.INCONCLUSIVE, "the incumbent has 0 of 100", id="as good as the past"
        ),
        pytest.param(
            arm(200, 60), arm(0), {}, Verdict.INCONCLUSIVE, "the incumbent has 0 of 100", id="no past to compare with"
        ),
        pytest.param(arm(200, 200), arm(0), {}, Verdict.FAIL, "allowed: not every answer", id="every answer, no past"),
        pytest.param(arm(64, 64), arm(0), PAST, Verdict.FAIL, "incumbent 0/0", id="every answer, with a past"),
        pytest.param(
            arm(200, 200),
            arm(1800, 1800),
            PAST,
            Verdict.FAIL,
            "incumbent 1800/1800 (100 %), allowed: not every answer",
            id="every answer, as of the incumbent",
        ),
        pytest.param(
            arm(200, 199), arm(1800, 1791), PAST, Verdict.PASS, "incumbent 1791/1800", id="nearly every answer of both"
        ),
        pytest.param(
            arm(60, 30), arm(60, 30), PAST, Verdict.INCONCLUSIVE, "has 60 of 100", id="an outage of both arms"
        ),
        pytest.param(
            arm(200, 60),
            arm(1800, 540),
            PAST,
            Verdict.PASS,
            "incumbent 540/1800 (30 %), allowed increase",
            id="the incumbent became worse",
        ),
    ],
)
def test_a_guard_is_never_blind(candidate, incumbent, past, verdict, words):
    """Without answers of the incumbent, the candidate is held to the incumbent's past."""
    result = judge(observe([ERRORS], candidate, incumbent, past=past), seconds=1800)
    assert result.verdict is verdict
    assert words in "; ".join(result.reasons)
    for name, counts in (("candidate", candidate), ("incumbent", incumbent)):
        judged, bad = sum(counts.answers), sum(counts.bad["ErrorRate"])
        assert f"{bad}/{judged}" in "; ".join(result.reasons) or f"the {name} has {judged} " in "; ".join(
            result.reasons
        )


@pytest.mark.parametrize(
    ("breaches", "past", "verdict"),
    [
        (200, PastWindow(), Verdict.FAIL),
        (199, PastWindow(), Verdict.INCONCLUSIVE),
        (200, PastWindow(2000, 2000), Verdict.INCONCLUSIVE),
    ],
    ids=["every answer", "nearly every answer", "every answer, as of the incumbent"],
)
def test_without_a_past_only_a_candidate_that_breaks_its_contract_in_every_answer_is_rolled_back(
    breaches, past, verdict
):
    contract = LiveMetric("OutputContract", max_regression=0.02)
    seen = observe([contract], arm(200, 0, breaches), past={"OutputContract": past})
    assert judge(seen, seconds=1800, metrics=[contract]).verdict is verdict


def test_an_incumbent_that_gets_no_more_requests_leaves_no_guard_blind():
    opened = observe([ERRORS], arm(50, 1), arm(400, 8), past=PAST)
    seen = absorb(opened, [PodReading("pod", "boot", arm(300, 121), arm(401, 8))])
    result = judge(seen)
    assert result.verdict is Verdict.FAIL
    assert (
        "bad answers 121/300 (40.3 %), incumbent 8/401 (2 %), allowed after the incumbent's past" in result.reasons[0]
    )


@pytest.mark.parametrize(
    ("weight", "answers", "more", "test"),
    [
        pytest.param(50, 100, (0, 0), Test.INCUMBENT, id="just enough"),
        pytest.param(50, 99, (0, 0), Test.LAST_WINDOW, id="one too few"),
        pytest.param(50, 100, (19, 4), Test.INCUMBENT, id="19 more were expected"),
        pytest.param(50, 100, (20, 4), Test.LAST_WINDOW, id="20 more were expected"),
        pytest.param(None, 100, (20, 4), Test.LAST_WINDOW, id="the weight is unknown"),
        pytest.param(50, 100, (20, 5), Test.INCUMBENT, id="5 more came"),
        pytest.param(10, 100, (2, 0), Test.INCUMBENT, id="18 more were expected by the weight"),
        pytest.param(10, 100, (3, 0), Test.LAST_WINDOW, id="27 more were expected by the weight"),
        pytest.param(80, 100, (79, 0), Test.INCUMBENT, id="fewer than 20 were expected by the weight"),
        pytest.param(80, 100, (80, 0), Test.LAST_WINDOW, id="20 were expected by the weight"),
    ],
)
def test_what_the_candidate_is_compared_with_depends_on_the_incumbents_answers(weight, answers, more, test):
    opened = observe([ERRORS], arm(50, 1), arm(answers, 2), past=PAST, weight=weight)
    assert opened.guards[0].closed == (50, 1, answers, 2)
    seen = absorb(opened, [PodReading("pod", "boot", arm(50 + more[0], 1), arm(answers + more[1], 2))])
    assert judge(seen).findings[0].test is test


@pytest.mark.parametrize(
    ("incumbent", "test"),
    [(arm(2, 2), Test.LAST_WINDOW), (arm(3, 3), Test.INCUMBENT), (arm(60, 2), Test.LAST_WINDOW)],
    ids=["two bad answers", "three of three", "as in its past"],
)
def test_a_past_that_does_not_describe_the_incumbent_any_more_is_not_used(incumbent, test):
    assert judge(observe([ERRORS], arm(50, 1), incumbent, past=PAST)).findings[0].test is test


@pytest.mark.parametrize("incumbent", [arm(0), arm(1000, 1000)], ids=["no answers", "it fails every answer"])
def test_a_candidate_is_rolled_back_after_45_answers_that_all_failed(incumbent):
    """1.9 to the power of n / 4 reaches 60 windows and guards / 0.05, the share of the comparison with the past."""
    assert judge(observe([ERRORS], arm(44, 44), incumbent)).verdict is None
    (finding,) = judge(observe([ERRORS], arm(45, 45), incumbent)).findings
    assert (finding.failed, finding.test, finding.limit) == (True, Test.EVERY_ANSWER, 0.5)
    assert finding.log_e_value == pytest.approx(45 * math.log(1.9) / 4)
    assert finding.log_threshold == pytest.approx(math.log(60 / 0.05))


def test_a_first_revision_that_fails_every_answer_is_rolled_back():
    alone = observe([LiveMetric("ErrorRate")], arm(200, 200), comparison=Comparison.NONE)
    result = judge(alone, metrics=[LiveMetric("ErrorRate")])
    assert result.verdict is Verdict.FAIL
    assert result.reasons[0].startswith("ErrorRate: bad answers 200/200 (100 %), allowed: not every answer, e-value ")
    almost = observe([LiveMetric("ErrorRate")], arm(200, 199), comparison=Comparison.NONE)
    assert judge(almost, metrics=[LiveMetric("ErrorRate")]).verdict is Verdict.PASS


def test_a_candidate_that_fails_every_answer_ends_a_bake_without_a_past():
    seen = observe([ERRORS], arm(64, 64), comparison=Comparison.LAST_WINDOW)
    assert judge(seen, full_window=True, min_requests=0).verdict is Verdict.FAIL


def test_both_comparisons_of_a_guard_share_its_error_budget():
    """The bet against the incumbent has nine tenths; bound and bet of the past have a twentieth each."""
    (guard,) = observe([ERRORS], arm(0), past=PAST).guards
    assert (guard.share, guard.fallback.share) == pytest.approx((0.9, 0.05))
    bound = betting.upper_rate(2000, 40, betting.PRIOR_VARIANCE_RATIO, 0.05 * 0.01)
    assert guard.fallback.limit == pytest.approx(bound + 0.02), "0.01 is the budget of a guard here"


ABANDONED_REQUESTS = LiveMetric("Abandoned", max_regression=0.02, budget=0.25)


def leave(requests: int, abandoned: int) -> ArmCounters:
    """Return an arm some of whose clients leave before their answer."""
    counts = {"ErrorRate": spread(0), "Abandoned": spread(abandoned)}
    judged = {"Abandoned": spread(requests)}
    return ArmCounters(spread(requests - abandoned), counts, judged, requests=spread(requests))


@pytest.mark.parametrize(
    ("candidate", "incumbent", "verdict"),
    [
        (leave(200, 80), leave(1800, 90), Verdict.FAIL),
        (leave(200, 200), leave(1800, 90), Verdict.FAIL),
        (leave(200, 80), leave(1800, 720), Verdict.PASS),
        (leave(200, 10), leave(1800, 90), Verdict.PASS),
        (arm(200, 4), arm(1800, 36), Verdict.PASS),
    ],
    ids=["more", "all", "as many", "few", "a server that does not count them"],
)
def test_abandoned_requests_are_compared_with_the_incumbents(candidate, incumbent, verdict):
    metrics = [ERRORS, ABANDONED_REQUESTS]
    result = judge(observe(metrics, candidate, incumbent), metrics=metrics)
    assert result.verdict is verdict
    if verdict is Verdict.FAIL:
        assert result.reasons[0].startswith("Abandoned: abandoned requests ")
        assert ", incumbent 90/1800 (5 %), allowed increase: 2 points, " in result.reasons[0]


def test_a_server_that_does_not_count_abandoned_requests_changes_no_other_result():
    metrics = [ERRORS, ABANDONED_REQUESTS]
    result = judge(observe(metrics, arm(200, 4), arm(1800, 36)), metrics=metrics)
    assert [finding.metric for finding in result.findings] == ["ErrorRate"]
    assert len(result.reasons) == 1
    assert result.detectable_drop is not None


def test_missing_answers_are_explained_by_abandoned_requests():
    result = judge(observe([ERRORS, ABANDONED_REQUESTS], leave(120, 60), leave(900, 450)))
    assert result.reasons == (
        "the candidate has 60 of 100 answers and 60 abandoned requests",
        "the incumbent has 450 answers and 450 abandoned requests",
    )


def test_the_guard_of_abandoned_requests_uses_a_quarter_of_a_guards_error_budget():
    budget = ErrorBudget.share_out(0.95, [ERRORS, ABANDONED_REQUESTS], 2)
    assert budget.guard_alpha == pytest.approx(0.05 / 1.25 / 2)
    found = judge(observe([ERRORS, ABANDONED_REQUESTS], leave(200, 1), leave(900, 1))).findings
    assert found[1].log_threshold - found[0].log_threshold == pytest.approx(math.log(4))


def test_requests_that_one_key_dominates_hold_the_verdict_but_not_a_rollback():
    heavy = (150, *(1,) * 50, *(0,) * 13)
    few = ArmCounters(heavy, {"ErrorRate": spread(0)})
    held = judge(observe([ERRORS], few, arm(1800, 36), weight=10))
    assert (held.verdict, held.concern) == (None, Concern.KEY)
    assert "one of 64 groups of session keys has 150 of the 200 requests of the candidate" in held.reasons[0]
    assert any("bad answers 0/200" in reason for reason in held.reasons), "the evidence is shown, too"
    late = judge(observe([ERRORS], few, arm(20), weight=50), seconds=1800)
    assert (late.verdict, late.concern) == (None, Concern.KEY), "nor is it Inconclusive"
    broken = ArmCounters(heavy, {"ErrorRate": heavy})
    assert judge(observe([ERRORS], broken, arm(1800, 36), weight=10)).verdict is Verdict.FAIL
