"""Timers of keys."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.timers import SPARE_ENTRIES, Timers


def key(name: str) -> Key:
    return Key(FINE_TUNE_JOB, "ns", name)


def names(timers: Timers, now: float) -> list[str]:
    return [due.name for due, _ in timers.pop_due(now)]


def test_keys_become_due_in_the_order_of_their_times_and_equal_times_in_that_of_their_setting():
    timers = Timers()
    for name, due in [("c", 3), ("a", 1), ("b", 1), ("d", 4)]:
        timers.set(key(name), due, Urgency.TIMER)
    assert timers.next_due() == 1
    assert names(timers, 0.9) == []
    assert names(timers, 3) == ["a", "b", "c"]
    assert (len(timers), timers.next_due()) == (1, 4)
    assert key("d") in timers
    assert key("a") not in timers


@pytest.mark.parametrize(
    ("first", "second", "due", "urgency"),
    [
        pytest.param((5, Urgency.TIMER), (600, Urgency.LISTING), 5, Urgency.TIMER, id="a later one changes nothing"),
        pytest.param((600, Urgency.LISTING), (5, Urgency.TIMER), 5, Urgency.TIMER, id="an earlier one replaces it"),
        pytest.param((5, Urgency.LISTING), (6, Urgency.CHILD), 5, Urgency.CHILD, id="the earlier, as the more urgent"),
        pytest.param((6, Urgency.CHILD), (5, Urgency.LISTING), 5, Urgency.CHILD, id="in both orders"),
    ],
)
def test_a_key_has_one_timer(first: tuple[float, Urgency], second: tuple[float, Urgency], due: float, urgency: Urgency):
    timers = Timers()
    timers.set(key("a"), *first)
    timers.set(key("a"), *second)
    assert timers.next_due() == due
    assert [(timer.due, timer.urgency) for _, timer in timers.pop_due(1000)] == [(due, urgency)]


def test_a_cancelled_timer_is_never_due():
    timers = Timers()
    timers.set(key("a"), 1, Urgency.TIMER)
    timers.set(key("b"), 2, Urgency.TIMER)
    timers.cancel(key("a"))
    timers.cancel(key("unknown"))
    assert timers.next_due() == 2
    assert names(timers, 9) == ["b"]
    assert timers.next_due() is None


def test_a_replaced_or_cancelled_time_does_not_count_for_a_later_timer():
    timers = Timers()
    timers.set(key("a"), 600, Urgency.TIMER)
    timers.set(key("a"), 5, Urgency.TIMER)
    assert names(timers, 5) == ["a"]
    timers.set(key("a"), 1000, Urgency.TIMER)
    timers.set(key("b"), 7, Urgency.TIMER)
    timers.cancel(key("b"))
    timers.set(key("b"), 2000, Urgency.TIMER)
    assert timers.next_due() == 1000
    assert names(timers, 999) == []
    assert names(timers, 2000) == ["a", "b"]


def test_timers_that_are_set_and_cancelled_again_and_again_take_no_memory():
    timers = Timers()
    for number in range(10_000):
        timers.set(key(str(number % 10)), 600 + number, Urgency.LISTING)
        timers.cancel(key(str(number % 10)))
    timers.set(key("last"), 1, Urgency.TIMER)
    assert len(timers._heap) <= 2 + SPARE_ENTRIES
    assert names(timers, 99_999) == ["last"]
