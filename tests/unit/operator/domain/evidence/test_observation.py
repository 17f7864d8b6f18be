"""Evidence adds up to the same in any order of pods, after missed polls, and after restarts of servers and operator."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.evidence import absorb
from support.examples import examples
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import (
    ArmCounters,
    PodReading,
)
from tunewright_operator.domain.evidence.guard import RESTARTS, Comparison, LiveMetric, PastWindow, Test
from tunewright_operator.domain.evidence.observation import (
    BET_GROWTH,
    BET_SECONDS,
    MAX_READING_GAP_SECONDS,
    Observation,
    add_counts,
    bet,
    count_time,
    incumbent_window,
    is_bet_due,
    open_observation,
)
from tunewright_operator.domain.evidence.verdict import ErrorBudget, ObservationSpec, assess

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ERRORS = LiveMetric("ErrorRate", max_regression=0.02)
CONTRACT = LiveMetric("OutputContract", max_regression=0.02, minimum=0.9)
METRICS = (ERRORS, CONTRACT)
SPEC = ObservationSpec(100, 1800, ErrorBudget.share_out(0.95, METRICS, 2))


def spread(count: int, first: int = 0) -> tuple[int, ...]:
    """Spread a count evenly over the buckets."""
    return tuple(count // 64 + ((bucket - first) % 64 < count % 64) for bucket in range(64))


def arm(answers: int, errors: int = 0, breaches: int = 0) -> ArmCounters:
    return ArmCounters(spread(answers), {"ErrorRate": spread(errors), "OutputContract": spread(breaches)})


def pod(name: str, candidate: ArmCounters, incumbent: ArmCounters, boot: str = "boot-1") -> PodReading:
    return PodReading(name, boot, candidate, incumbent)


def start(*readings: PodReading, **options) -> Observation:
    return open_observation(0, METRICS, readings, {}, NOW, **options)


def totals(observation: Observation, metric: str = "ErrorRate") -> tuple[int, ...]:
    arms = observation.arms
    return (*arms.candidate.tally(metric).totals, *arms.incumbent.tally(metric).totals)


growth = st.tuples(st.integers(0, 40), st.integers(0, 10), st.integers(0, 200), st.integers(0, 30))
polls = st.lists(st.lists(growth, min_size=3, max_size=3), min_size=1, max_size=6)


def cumulate(history: list[list[tuple[int, int, int, int]]]) -> list[list[PodReading]]:
    """Turn each poll's gains of three pods into the cumulative readings that the pods report."""
    sums = [[0, 0, 0, 0] for _ in range(3)]
    readings = []
    for poll in history:
        row = []
        for index, gains in enumerate(poll):
            sums[index] = [total + gained for total, gained in zip(sums[index], gains, strict=True)]
            answers, bad, others, others_bad = sums[index]
            row.append(pod(f"pod-{index}", arm(answers + bad, bad, bad), arm(others + others_bad, others_bad)))
        readings.append(row)
    return readings


@given(polls, st.randoms(use_true_random=False))
@settings(max_examples=examples(40))
def test_the_order_of_pods_within_a_poll_changes_nothing(history, random):
    ordered = shuffled = start()
    for readings in cumulate(history):
        ordered = absorb(ordered, readings)
        shuffled = absorb(shuffled, random.sample(readings, len(readings)))
    assert shuffled == ordered


@given(polls)
@settings(max_examples=examples(40))
def test_a_restart_of_the_operator_at_every_poll_changes_nothing(history):
    steady = restarted = start()
    for number, readings in enumerate(cumulate(history)):
        steady = absorb(steady, readings)
        stored = json.loads(json.dumps(absorb(restarted, readings).to_wire()))
        restarted = Observation.from_wire(stored)
        now = NOW + dt.timedelta(seconds=number)
        assert restarted == steady
        assert assess(restarted, SPEC, now) == assess(steady, SPEC, now)


@given(polls, st.data())
@settings(max_examples=examples(40))
def test_missed_polls_lose_no_answer(history, data):
    readings = cumulate(history)
    every = some = start()
    for index, poll in enumerate(readings):
        every = absorb(every, poll)
        last = index == len(readings) - 1
        some = absorb(some, [reading for reading in poll if last or data.draw(st.booleans())])
    assert some.arms == every.arms
    assert some.lost == 0
    absolute = [guard.test is Test.MINIMUM for guard in every.guards].index(True)
    later = NOW + dt.timedelta(seconds=9)
    assert assess(some, SPEC, later).findings[absolute] == assess(every, SPEC, later).findings[absolute]


def test_counting_starts_at_the_baselines():
    opened = start(pod("a", arm(500, 50), arm(5000, 100)))
    seen = absorb(opened, [pod("a", arm(512, 53), arm(5100, 101))])
    assert totals(seen) == (12, 3, 100, 1)
    assert seen.arms.candidate.answers == 12


def test_a_new_boot_starts_from_zero_and_counts_as_one_loss():
    opened = start(pod("a", arm(500, 50), arm(5000, 100)))
    seen = absorb(opened, [pod("a", arm(30, 2), arm(40, 1), boot="boot-2")])
    assert totals(seen) == (30, 2, 40, 1)
    assert seen.lost == 1


def test_a_new_pod_counts_from_zero_without_a_loss():
    seen = absorb(start(), [pod("new", arm(30, 2), arm(40, 1))])
    assert totals(seen) == (30, 2, 40, 1)
    assert seen.lost == 0


def test_counters_that_decrease_are_counted_as_lost_and_not_subtracted():
    seen = absorb(start(pod("a", arm(50, 5), arm(50))), [pod("a", arm(40, 5), arm(60))])
    assert totals(seen) == (0, 0, 0, 0)
    assert seen.lost == 1
    again = absorb(seen, [pod("a", arm(47, 6), arm(61))])
    assert totals(again) == (7, 1, 1, 0), "counting continues from the last reading"


def test_bad_answers_that_decrease_are_counted_as_lost_even_when_answers_grow():
    seen = absorb(start(pod("a", arm(50, 5), arm(50, 2))), [pod("a", arm(60, 6), arm(60, 1))])
    assert totals(seen) == (0, 0, 0, 0)
    assert seen.lost == 1


def test_a_pod_that_does_not_answer_loses_nothing_and_a_deleted_one_counts_as_lost():
    opened = start(pod("a", arm(10), arm(10)), pod("b", arm(10), arm(10)))
    silent = absorb(opened, [pod("a", arm(11), arm(12))], existing_pods={"a", "b"})
    assert silent.lost == 0
    assert [baseline.pod_uid for baseline in silent.baselines] == ["a", "b"]
    deleted = absorb(silent, [pod("a", arm(12), arm(13))], existing_pods={"a"})
    assert deleted.lost == 1
    assert [baseline.pod_uid for baseline in deleted.baselines] == ["a"]


def test_a_pod_that_does_not_answer_at_the_opening_keeps_its_baseline_of_the_last_window():
    before = absorb(start(), [pod("a", arm(700), arm(700)), pod("b", arm(900), arm(900))])
    opened = start(pod("a", arm(710), arm(720)), previous=before)
    seen = absorb(opened, [pod("b", arm(905), arm(906))])
    assert totals(seen) == (5, 0, 6, 0)


def test_polls_count_only_when_a_pod_answered():
    seen = absorb(absorb(start(), []), [pod("a", arm(1), arm(1))])
    assert seen.polls == 1


def test_an_unchecked_answer_is_neither_good_nor_bad():
    checked = ArmCounters(spread(100), {"OutputContract": spread(3)}, {"OutputContract": spread(60)})
    seen = absorb(start(), [PodReading("a", "boot", checked)])
    assert totals(seen, "OutputContract") == (60, 3, 0, 0)
    assert totals(seen, "ErrorRate") == (0, 0, 0, 0), "a metric that the pod does not count has judged nothing"
    assert seen.arms.candidate.answers == 100


def test_late_bad_answers_keep_the_block_open():
    """Contract checks end after their answers, so a poll may see more breaches than answers."""
    opened = start(pod("a", arm(64), arm(64)))
    seen = absorb(opened, [pod("a", arm(70, breaches=8), arm(164))])
    guard = next(g for g in seen.guards if g.metric == "OutputContract" and g.test is Test.INCUMBENT)
    assert guard.closed == (0, 0, 0, 0)
    later = absorb(seen, [pod("a", arm(90, breaches=9), arm(200))])
    guard = next(g for g in later.guards if g.metric == "OutputContract" and g.test is Test.INCUMBENT)
    assert guard.closed == (26, 9, 136, 0)


def test_a_bet_uses_only_the_incumbents_answers_before_the_block():
    """One block after a known past: the log factor of `betting`, with a guess from the past."""
    opened = open_observation(0, [ERRORS], [], {"ErrorRate": PastWindow(answers=990, bad=99)}, NOW)
    seen = absorb(opened, [pod("a", arm(20, 4), arm(80, 8))])
    block = betting.Block(20, 4, 80, 8)
    expected = [betting.log_relative_factor(gap, 0.02, 99.5 / 1000, block) for gap in betting.GAPS]
    assert list(seen.guards[0].log_wealth) == pytest.approx(expected)


def test_a_later_bet_uses_the_past_and_all_earlier_blocks():
    opened = open_observation(0, [ERRORS], [], {"ErrorRate": PastWindow(answers=990, bad=99)}, NOW)
    first = absorb(opened, [pod("a", arm(20, 4), arm(80, 8))])
    second = absorb(first, [pod("a", arm(30, 5), arm(190, 12))])
    block = betting.Block(10, 1, 110, 4)
    guess = betting.guess_rate(990 + 80, 99 + 8)
    gained = [betting.log_relative_factor(gap, 0.02, guess, block) for gap in betting.GAPS]
    expected = [log + gain for log, gain in zip(first.guards[0].log_wealth, gained, strict=True)]
    assert list(second.guards[0].log_wealth) == pytest.approx(expected)


def test_the_incumbents_answers_are_passed_to_the_next_window():
    seen = absorb(start(), [pod("a", arm(20), arm(640, 64))])
    window = incumbent_window(seen)["ErrorRate"]
    assert (window.answers, window.bad) == (640, 64)
    assert window.design_effect >= 1
    opened = open_observation(1, [ERRORS], [], {"ErrorRate": window}, NOW)
    assert opened.guards[0].before == (640, 64)


def test_a_bake_is_compared_with_an_upper_bound_of_the_incumbents_last_window():
    past = {"ErrorRate": PastWindow(answers=1000, bad=50, design_effect=2.0)}
    opened = open_observation(1, [ERRORS], [], past, NOW, comparison=Comparison.LAST_WINDOW, guard_alpha=0.01)
    guard = opened.guards[0]
    assert guard.test is Test.LAST_WINDOW
    assert guard.limit == betting.upper_rate(1000, 50, 2.0, 0.005) + 0.02
    assert 0.05 < guard.limit - 0.02 < 0.12
    assert guard.share == 0.5


def test_a_bake_after_a_window_without_answers_allows_any_rate():
    opened = start(comparison=Comparison.LAST_WINDOW)
    limits = [guard.limit for guard in opened.guards if guard.test is Test.LAST_WINDOW]
    assert limits == [1.0, 1.0], "a rate is at most 1"


def test_four_answers_of_unknown_dependence_count_as_one():
    def limit(window: PastWindow) -> float:
        past = {"ErrorRate": window}
        return open_observation(1, [ERRORS], [], past, NOW, comparison=Comparison.LAST_WINDOW).guards[0].limit

    assert limit(PastWindow(4000, 80)) == limit(PastWindow(1000, 20, design_effect=1.0))


def test_a_bake_starts_new_bets_as_answers_arrive():
    past = {"ErrorRate": PastWindow(answers=1000, bad=50)}
    seen = open_observation(1, [ERRORS], [], past, NOW, comparison=Comparison.LAST_WINDOW)
    for answers in (200, 260, 600, 5000):
        seen = absorb(seen, [pod("a", arm(answers, answers // 20), arm(0))])
    assert [mark.judged for mark in seen.guards[0].marks] == [260, 600, 5000, 5000, 5000]
    assert len(seen.guards[0].marks) == len(RESTARTS)


def test_absolute_limits_start_new_bets_in_a_bake_but_not_in_a_step():
    def minimum(comparison: Comparison) -> list[bool]:
        guards = open_observation(1, METRICS, [], {}, NOW, comparison=comparison).guards
        return [guard.restarting for guard in guards if guard.test is Test.MINIMUM]

    assert minimum(Comparison.LAST_WINDOW) == [True]
    assert minimum(Comparison.INCUMBENT) == [False]


def test_without_an_incumbent_only_absolute_limits_are_guarded():
    opened = start(comparison=Comparison.NONE)
    assert [(guard.metric, guard.test) for guard in opened.guards] == [
        ("ErrorRate", Test.EVERY_ANSWER),
        ("OutputContract", Test.MINIMUM),
    ]


def test_the_state_has_no_floats_and_kubernetes_names_for_pods():
    seen = absorb(start(), [pod("a", arm(20, 4), arm(80, 8))])
    wire = seen.to_wire()

    def floats(value: object) -> list[float]:
        if isinstance(value, dict):
            return [found for item in value.values() for found in floats(item)]
        if isinstance(value, list):
            return [found for item in value for found in floats(item)]
        return [value] if isinstance(value, float) else []

    assert floats(wire) == []
    assert {"podUID", "bootID"} < wire["baselines"][0].keys()
    assert [float(text) for text in wire["guards"][0]["logWealth"]] == list(seen.guards[0].log_wealth)


def test_the_state_stays_small():
    """16 replicas and three metrics stay far below the 1 MiB of an object."""
    metrics = [LiveMetric(name, max_regression=0.02) for name in ("ErrorRate", "Latency", "OutputContract")]
    counted = {metric.name: tuple(bucket % 7 for bucket in range(64)) for metric in metrics}
    busy = ArmCounters(tuple(1000 + bucket for bucket in range(64)), counted)
    opened = open_observation(0, metrics, [], {}, NOW)
    seen = absorb(opened, [PodReading(f"pod-{index}", "boot", busy, busy) for index in range(16)])
    assert len(seen.to_json()) < 64 * 1024


@pytest.mark.parametrize("bounds", [{"max_regression": -0.1}, {"max_regression": 0.95}, {"minimum": 1.1}])
def test_bounds_that_cannot_be_tested_are_refused(bounds):
    with pytest.raises(ValueError, match="metric ErrorRate: m"):
        dataclasses.replace(LiveMetric("ErrorRate"), **bounds)


def test_requests_add_up_like_answers():
    def leave(requests: int) -> ArmCounters:
        return ArmCounters(spread(10), {}, {}, requests=spread(requests))

    opened = start(pod("a", leave(20), leave(30)))
    seen = absorb(opened, [pod("a", leave(64), leave(33)), pod("b", leave(11), arm(7))])
    assert sum(seen.arms.candidate.requests) == 44 + 11
    assert sum(seen.arms.incumbent.requests) == 3 + 7, "a process that counts no requests has its answers"
    assert seen.arms.candidate.answers == 10
    decreased = absorb(seen, [pod("a", leave(63), leave(33))])
    assert (decreased.lost, decreased.arms) == (1, seen.arms)


@pytest.mark.parametrize(
    ("readings", "counted"),
    [
        pytest.param([0, 5, 10, 15], 15, id="steady readings"),
        pytest.param([0, MAX_READING_GAP_SECONDS], MAX_READING_GAP_SECONDS, id="slow readings"),
        pytest.param([0, MAX_READING_GAP_SECONDS + 0.1], 0, id="an absent operator"),
        pytest.param([0, 5, 905, 910], 10, id="an outage"),
        pytest.param([0, 5, None, None, 15], 15, id="a short outage"),
        pytest.param([None, None, 10, 15], 5, id="an outage at the start"),
        pytest.param([0, 5, 5, 5], 5, id="an old snapshot"),
        pytest.param([0, 5, 3, 10], 10, id="a clock that was set back"),
        pytest.param([None], 0, id="nothing"),
    ],
)
def test_time_counts_only_between_readings_of_ready_pods(readings, counted):
    seen = start()
    for seconds in readings:
        seen = count_time(seen, None if seconds is None else NOW + dt.timedelta(seconds=seconds))
    assert seen.watched_seconds == counted
    assert Observation.from_wire(json.loads(json.dumps(seen.to_wire()))) == seen


@pytest.mark.parametrize(
    ("requests", "seconds", "is_over", "due"),
    [
        ((100, 100), 0, False, False),
        ((100, 100), BET_SECONDS - 1, False, False),
        ((123, 123), 5, False, False),
        ((124, 100), 5, False, True),
        ((100, 124), 5, False, True),
        ((100, 101), BET_SECONDS, False, True),
        ((100, 100), BET_SECONDS, False, True),
        ((100, 100), BET_SECONDS, True, False),
        ((100, 101), BET_SECONDS, True, True),
        ((100, 100), -5, False, True),
    ],
    ids=[
        "nothing new",
        "nothing new for 29 s",
        "a little more",
        "a quarter more of the candidate",
        "a quarter more of the incumbent",
        "a little more after 30 s",
        "only time has passed",
        "only time has passed after the end",
        "a little more after the end",
        "the clock was set back",
    ],
)
def test_guards_bet_after_some_time_or_when_there_are_more_requests(requests, seconds, is_over, due):
    first = absorb(start(), [pod("a", arm(100), arm(100))])
    seen = add_counts(first, [pod("a", arm(requests[0]), arm(requests[1]))])
    assert is_bet_due(seen, NOW + dt.timedelta(seconds=seconds), is_over=is_over) is due


def test_a_few_requests_are_no_growth():
    counts = [0, *(count for count in range(1, 40) if _grows_to(count))]
    assert counts[:2] == [0, betting.MIN_BLOCK]


def _grows_to(count: int) -> bool:
    return is_bet_due(add_counts(start(), [pod("a", arm(count), arm(0))]), NOW, is_over=False)


def test_guards_bet_at_once_on_the_evidence_of_an_earlier_version():
    assert is_bet_due(start().updated(bet_at=None), NOW, is_over=True)


def test_the_regression_that_would_be_detected_shrinks_by_ten_percent_until_the_next_bet():
    def rise(answers: float) -> float:
        return betting.detectable_rise(0.5, 0.0, candidate=answers, incumbent=None, effect=1.0, alpha=0.01)

    assert rise(10_000 * BET_GROWTH) / rise(10_000) == pytest.approx(0.9, abs=0.001)


@given(polls, st.lists(st.integers(0, 40), min_size=6, max_size=6), st.booleans())
@settings(max_examples=examples(40))
def test_when_guards_bet_does_not_depend_on_how_many_answers_are_bad(history, pauses, is_over):
    """Otherwise a block could be ended where it is worst, and a bet on such blocks would gain."""
    good = bad = start()
    harmless = [[(a + b, 0, i + j, 0) for a, b, i, j in poll] for poll in history]
    now = NOW
    for one, other, pause in zip(cumulate(history), cumulate(harmless), pauses, strict=False):
        now += dt.timedelta(seconds=pause)
        bad, good = add_counts(bad, one), add_counts(good, other)
        due = is_bet_due(bad, now, is_over=is_over)
        assert due is is_bet_due(good, now, is_over=is_over)
        if due:
            bad, good = bet(bad, now), bet(good, now)


@given(polls, st.lists(st.sampled_from(["bets", "bets and is killed", "reads", "is killed"]), min_size=6, max_size=6))
@settings(max_examples=examples(60))
def test_what_is_not_recorded_changes_no_count_and_no_absolute_guard(history, deeds):
    """An operator that reads, bets and is killed at any time has the counts of one that records each poll.

    Absolute guards depend only on the counts. The guards that compare with the incumbent have bet exactly on what they
    recorded: no bet that was lost counts, and no answer counts twice.
    """
    steady = recorded = remembered = start()
    readings = cumulate(history)
    for poll, deed in zip(readings, deeds, strict=False):
        steady = absorb(steady, poll)
        remembered = add_counts(remembered, poll)
        match deed:
            case "bets":
                recorded = remembered = bet(remembered, NOW)
            case "bets and is killed":
                bet(remembered, NOW)
                remembered = recorded
            case "is killed":
                remembered = recorded
    last = add_counts(remembered, readings[-1])
    assert (last.arms, last.lost, last.baselines) == (steady.arms, 0, steady.baselines)
    assert last.guards[0].closed == recorded.guards[0].closed
    later = NOW + dt.timedelta(seconds=9)
    for one, other in zip(assess(last, SPEC, later).findings, assess(steady, SPEC, later).findings, strict=True):
        if one.test is Test.MINIMUM:
            assert one == other
        assert one.candidate == other.candidate
