"""The sizes that follow from a speed; at every speed they meet the demands of the statistics."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from support.evidence import absorb
from tunewright_contracts.evaluation_report import Verdict
from tunewright_dev.demo.timing import sizes
from tunewright_dev.demo.timing.sizes import derive_sizes
from tunewright_operator.domain.evidence import counters, guard, observation, verdict

REFERENCE = 80.0


@pytest.mark.parametrize(
    ("tokens_per_second", "min_requests", "max_seconds", "bake_seconds", "patience_seconds", "slowdown"),
    [
        (80, 100, 3600, 20, 900, 1),  # the reference machine: 5 answers a second, one of them the candidate's
        (40, 100, 4000, 24, 1800, 2),  # half of its CPU: the same samples, and twice as long for each
        (8, 100, 20000, 120, 9000, 10),
        (0.1, 100, 1_600_000, 9600, 720_000, 800),
        (0.01, 100, 2_592_000, 96_000, 7_200_000, 8000),  # the API's own limit of a step: 30 days
        (160, 200, 3600, 20, 900, 0.5),  # a faster machine detects smaller regressions
        (8000, 400, 3600, 20, 900, 0.01),
    ],
)
def test_sizes_follow_from_the_speed(
    tokens_per_second, min_requests, max_seconds, bake_seconds, patience_seconds, slowdown
):
    derived = derive_sizes(tokens_per_second, REFERENCE)
    assert derived.min_requests == min_requests
    assert derived.max_seconds == max_seconds
    assert derived.bake_seconds == bake_seconds
    assert derived.patience_seconds == pytest.approx(patience_seconds)
    assert derived.slowdown == pytest.approx(slowdown)


@pytest.mark.parametrize("speeds", [(0, 80), (80, 0), (-1, 80)])
def test_a_speed_is_above_zero(speeds):
    with pytest.raises(ValueError, match="above 0"):
        derive_sizes(*speeds)


@pytest.mark.parametrize("tokens_per_second", [0.5, 3, 11, 27, 63, 80, 200, 5000])
def test_a_step_has_time_for_its_sample_even_when_the_machine_becomes_much_slower(tokens_per_second):
    derived = derive_sizes(tokens_per_second, REFERENCE)
    candidates_per_second = tokens_per_second / sizes.TOKENS_PER_ANSWER * sizes.SMALLEST_SHARE
    assert derived.max_seconds >= 10 * derived.min_requests / candidates_per_second
    assert derived.patience_seconds >= sizes.PATIENCE_SECONDS


def roll_out(rng: random.Random, bad_tickets: float, customers: int, per_poll: int) -> Verdict | None:
    """Play the step at 20 % with the smallest sample: sessions of one to four tickets, some with bad answers."""
    metrics = (guard.LiveMetric("ErrorRate", 0.01), guard.LiveMetric("OutputContract", 0.02))
    budget = verdict.ErrorBudget.share_out(0.95, metrics, windows=3)
    rules = verdict.ObservationSpec(sizes.LEAST_REQUESTS, 1e9, budget)
    answers, bad = [[0] * 64, [0] * 64], [0] * 64

    def read_arm(arm: int, bad_answers: list[int]) -> counters.ArmCounters:
        by_metric = {"ErrorRate": counters.NO_ANSWERS, "OutputContract": tuple(bad_answers)}
        return counters.ArmCounters(tuple(answers[arm]), by_metric)

    def read() -> counters.PodReading:
        return counters.PodReading("u", "b", candidate=read_arm(1, bad), incumbent=read_arm(0, [0] * 64))

    def begin_session() -> list[int]:
        return [rng.randint(1, 4), int(rng.random() < sizes.SMALLEST_SHARE), rng.randrange(64)]

    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    before = {metric.name: guard.PastWindow(300, 0) for metric in metrics}
    seen = observation.open_observation(2, metrics, [read()], before, now, guard_alpha=budget.guard_alpha)
    sessions = [begin_session() for _ in range(customers)]
    for _ in range(1000):
        for _ in range(per_poll):
            place = rng.randrange(customers)
            _, arm, bucket = sessions[place]
            answers[arm][bucket] += 1
            bad[bucket] += arm and rng.random() < bad_tickets
            sessions[place][0] -= 1
            if not sessions[place][0]:
                sessions[place] = begin_session()
        seen = absorb(seen, [read()], {"u"})
        assessment = verdict.assess(seen, rules, now)
        if assessment.verdict is not None:
            return assessment.verdict
    return None


@pytest.mark.parametrize(("bad_tickets", "per_poll"), [(0.33, 25), (0.28, 25), (0.33, 8)])
def test_the_smallest_sample_is_enough_to_reject_the_fourth_job(bad_tickets, per_poll):
    """A third of the tickets is about gift cards; of all answers of its adapter, 28 to 33 % were bad when measured."""
    rng = random.Random(f"{bad_tickets}/{per_poll}")
    verdicts = [roll_out(rng, bad_tickets, customers=24, per_poll=per_poll) for _ in range(40)]
    assert verdicts.count(Verdict.FAIL) >= 38


def test_the_smallest_sample_passes_an_adapter_that_answers_well():
    rng = random.Random(0)
    assert {roll_out(rng, 0.0, customers=24, per_poll=25) for _ in range(20)} == {Verdict.PASS}
