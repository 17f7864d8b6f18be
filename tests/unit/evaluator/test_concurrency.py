"""The limit on requests in flight: additive increase, multiplicative decrease, and what the replicas admit."""

from __future__ import annotations

import pytest

from tunewright_contracts.pool_load import PodLoad
from tunewright_evaluator.concurrency import FIRST_LIMIT, LOAD_SECONDS, UNKNOWN_LIMIT, Concurrency


def load(limit: int = 100, pod: str = "a", waiting: int = 0) -> PodLoad:
    return PodLoad(pod=pod, capacity=256, waiting=waiting, limit=limit)


def answer(concurrency: Concurrency, number: int, *, seconds: float = 1.0, found: PodLoad | None = None) -> None:
    for _ in range(number):
        concurrency.note_answer(seconds, 10, found, now=0.0)


def follow(concurrency: Concurrency, windows: int) -> list[int]:
    """Give as many answers as are allowed, several times; return the limits before each time."""
    limits = []
    for _ in range(windows):
        limits.append(concurrency.limit(0.0))
        answer(concurrency, limits[-1], found=load())
    return limits


def test_it_doubles_until_it_was_halved_and_then_rises_by_one():
    concurrency = Concurrency(64)
    assert follow(concurrency, 4) == [FIRST_LIMIT, 8, 16, 32]
    concurrency.note_refusal(None, now=0.0)
    assert follow(concurrency, 4) == [32, 33, 34, 35]


@pytest.mark.parametrize("maximum", [1, 2, 9, 64])
def test_it_never_exceeds_the_maximum(maximum):
    assert max(follow(Concurrency(maximum), 12)) == maximum


def test_a_pool_that_reports_no_load_gets_no_more_than_before():
    concurrency = Concurrency(64)
    answer(concurrency, 1000)
    assert concurrency.limit(0.0) == UNKNOWN_LIMIT


def test_it_never_exceeds_what_the_replicas_admit_together():
    concurrency = Concurrency(64)
    answer(concurrency, 50, found=load(3, "a"))
    assert concurrency.limit(0.0) == 3
    answer(concurrency, 50, found=load(2, "b"))
    assert concurrency.limit(0.0) == 5
    answer(concurrency, 1, found=load(1, "a"))
    assert concurrency.limit(0.0) == 3


def test_a_replica_without_answers_is_forgotten():
    concurrency = Concurrency(64)
    concurrency.note_answer(1.0, 10, load(2, "a"), now=0.0)
    concurrency.note_answer(1.0, 10, load(1, "b"), now=LOAD_SECONDS)
    assert concurrency.limit(LOAD_SECONDS) == 3
    assert concurrency.limit(LOAD_SECONDS + 1) == 1


def grown() -> Concurrency:
    """Return a limit of 8 that was halved before; its last answer took one second."""
    concurrency = Concurrency(64)
    answer(concurrency, 4 + 8, found=load())
    concurrency.note_refusal(None, now=0.0)
    assert concurrency.limit(0.0) == 8
    return concurrency


def test_a_refusal_halves_it():
    concurrency = grown()
    concurrency.note_refusal(None, now=5.0)
    assert concurrency.limit(5.0) == 4


def test_refusals_of_requests_that_were_in_flight_together_halve_it_once():
    concurrency = grown()
    for number in range(6):
        concurrency.note_refusal(None, now=5.0 + number / 10)
    assert concurrency.limit(6.0) == 4
    concurrency.note_refusal(None, now=6.5)
    assert concurrency.limit(6.5) == 2


def test_it_never_falls_below_one():
    concurrency = grown()
    for number in range(20):
        concurrency.note_refusal(load(0), now=10.0 * number)
    assert concurrency.limit(200.0) == 1


def test_waiting_requests_in_a_replica_halve_it():
    concurrency = grown()
    concurrency.note_answer(1.0, 10, load(waiting=1), now=5.0)
    assert concurrency.limit(5.0) == 4


def test_answers_that_take_twice_as_long_halve_it():
    concurrency = grown()
    for _ in range(8):
        concurrency.note_answer(2.0, 10, load(), now=5.0)
    assert concurrency.limit(5.0) == 9, "not more than twice as long"
    for _ in range(9):
        concurrency.note_answer(2.2, 10, load(), now=5.0)
    assert concurrency.limit(5.0) == 4


def test_longer_answers_are_not_slower_ones():
    concurrency = grown()
    for _ in range(8):
        concurrency.note_answer(10.0, 100, load(), now=5.0)
    assert concurrency.limit(5.0) == 9


def test_another_arm_may_be_slower():
    concurrency = grown()
    concurrency.begin_arm()
    answer(concurrency, 8, seconds=5.0, found=load())
    assert concurrency.limit(0.0) == 9


def test_a_pool_that_stays_slower_is_accepted_in_the_end():
    concurrency = grown()
    limits = []
    for number in range(200):
        for _ in range(concurrency.limit(float(number * 10))):
            concurrency.note_answer(5.0, 10, load(), now=float(number * 10))
        limits.append(concurrency.limit(float(number * 10)))
    assert min(limits) == 1
    assert limits[-1] > 8
