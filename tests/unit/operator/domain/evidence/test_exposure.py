"""The distribution of a window's requests: the candidate's share, and requests of one client."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from support.evidence import absorb
from tunewright_operator.domain.evidence.counters import ArmCounters, PodReading
from tunewright_operator.domain.evidence.exposure import (
    EXPOSURE_ALPHA,
    Concern,
    Exposure,
    find_concerns,
    view_exposure,
)
from tunewright_operator.domain.evidence.guard import Comparison, LiveMetric
from tunewright_operator.domain.evidence.observation import Observation, open_observation

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
METRICS = [LiveMetric("ErrorRate", max_regression=0.02)]


def spread(count: int, heavy: int = 0) -> tuple[int, ...]:
    """Spread a count evenly over the buckets; `heavy` more are in the first one."""
    return tuple(count // 64 + (bucket < count % 64) + heavy * (bucket == 0) for bucket in range(64))


def observe(
    candidate: tuple[int, ...],
    incumbent: tuple[int, ...],
    weight: int | None = 10,
    comparison: Comparison = Comparison.INCUMBENT,
) -> Observation:
    arms = [ArmCounters(spread(0), requests=requests) for requests in (candidate, incumbent)]
    opened = open_observation(0, METRICS, [], {}, NOW, weight=weight, comparison=comparison)
    return absorb(opened, [PodReading("pod", "boot", *arms)])


@pytest.mark.parametrize(
    ("candidate", "incumbent", "weight", "concerns"),
    [
        pytest.param(spread(200), spread(1800), 10, set(), id="by the weight"),
        pytest.param(spread(230), spread(1770), 10, set(), id="by chance"),
        pytest.param(spread(600), spread(1400), 10, {Concern.SHARE}, id="three times the weight"),
        pytest.param(spread(100), spread(1900), 10, set(), id="less than the weight"),
        pytest.param(spread(2000), spread(0), 10, {Concern.SHARE}, id="all requests"),
        pytest.param(spread(2000), spread(0), 100, set(), id="all requests, as asked"),
        pytest.param(spread(0, 2000), spread(0), 10, {Concern.KEY}, id="all requests have one key"),
        pytest.param(spread(0), spread(0, 2000), 10, {Concern.KEY}, id="and the incumbent answers them"),
        pytest.param(spread(60, 80), spread(1260), 10, {Concern.KEY}, id="one key has most of the candidate's"),
        pytest.param(spread(100), spread(400, 500), 10, {Concern.KEY}, id="one key has most of the incumbent's"),
        pytest.param(spread(100, 42), spread(1260), 10, set(), id="one key has a third of the candidate's"),
        pytest.param((4, 3, *(0,) * 62), spread(60), 10, set(), id="seven requests are too few"),
        pytest.param((5, 3, *(0,) * 62), spread(70), 10, {Concern.KEY}, id="eight are not"),
        pytest.param((4, 4, *(0,) * 62), spread(70), 10, set(), id="a half is not most"),
        pytest.param((*(100,) * 6, *(0,) * 58), spread(0), 50, set(), id="six sessions of six, by chance in 2 %"),
        pytest.param((*(100,) * 16, *(0,) * 48), spread(0), 50, {Concern.SHARE}, id="sixteen sessions of sixteen"),
        pytest.param(spread(2000), spread(0), None, set(), id="a status of an earlier version"),
    ],
)
def test_concerns(
    candidate: tuple[int, ...], incumbent: tuple[int, ...], weight: int | None, concerns: set[Concern]
) -> None:
    assert find_concerns(observe(candidate, incumbent, weight)).keys() == concerns


def test_the_messages_have_the_numbers() -> None:
    concerns = find_concerns(observe(spread(600), spread(1400)))
    assert concerns[Concern.SHARE] == (
        "the candidate answers 30.0 % of the requests, more than its weight of 10 % (e-value ≥ 100)"
    )
    concerns = find_concerns(observe(spread(100), spread(400, 500)))
    assert concerns[Concern.KEY] == (
        "one of 64 groups of session keys has 507 of the 900 requests of the incumbent, which is probably one client"
    )


@pytest.mark.parametrize("comparison", [Comparison.LAST_WINDOW, Comparison.NONE])
def test_a_candidate_that_answers_alone_has_all_requests_by_intent(comparison: Comparison) -> None:
    seen = observe(spread(0, 500), spread(0), 100, comparison)
    assert view_exposure(seen) is None
    assert find_concerns(seen) == {}


def test_the_share_is_a_part_of_the_requests() -> None:
    exposure = view_exposure(observe(spread(30), spread(270)))
    assert exposure is not None
    assert exposure.share == pytest.approx(0.1)
    nothing = Exposure(spread(0), spread(0), 10)
    assert (nothing.share, nothing.log_e_value) == (None, 0.0)


def test_a_fair_distribution_of_sessions_is_rarely_held_at_any_of_many_checks() -> None:
    """Sessions of 8 requests on average; 60 checks of each window. The bound is 1 %, and far fewer are held."""
    random = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        length = random.geometric(1 / 8, size=600)
        arm = random.random(600) < 0.1
        bucket = random.integers(64, size=600)
        counts = np.zeros((60, 2, 64), dtype=int)
        np.add.at(counts, (np.arange(600) // 10, arm.astype(int), bucket), length)
        totals = counts.cumsum(axis=0)
        checks = (Exposure(row[1].tolist(), row[0].tolist(), 10).log_e_value for row in totals)
        held += any(evidence >= -math.log(EXPOSURE_ALPHA) for evidence in checks)
    assert held <= 3


def test_a_doubled_share_of_sessions_is_found() -> None:
    random = np.random.default_rng(3)
    length = random.geometric(1 / 8, size=600)
    arm = random.random(600) < 0.2
    counts = np.zeros((2, 64), dtype=int)
    np.add.at(counts, (arm.astype(int), random.integers(64, size=600)), length)
    exposure = Exposure(counts[1].tolist(), counts[0].tolist(), 10)
    assert exposure.log_e_value >= -math.log(EXPOSURE_ALPHA)
