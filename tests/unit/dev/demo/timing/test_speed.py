"""The speed of a pool, from the answers to its clients."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.observed.answers import Answer
from tunewright_dev.demo.timing.speed import Speed, measure_speed

IN_FLIGHT = 4


def answers(waves, *, seconds, tokens=16, status=200):
    """Return answers in waves of four, with this number of seconds between waves."""
    return [
        Answer(
            number=wave * IN_FLIGHT + place + 1,
            start=wave * seconds,
            end=(wave + 1) * seconds,
            session="s",
            kind="ticket",
            status=status,
            tokens=tokens,
        )
        for wave in range(waves)
        for place in range(IN_FLIGHT)
    ]


@pytest.mark.parametrize(
    ("waves", "seconds", "rate"),
    [
        (4, 5, 12.8),  # 64 tokens each 5 s; the first wave does not count
        (3, 100, 0.64),  # a slow machine: two waves suffice
        (31, 0.5, 128),
    ],
)
def test_the_speed_is_the_sum_of_all_requests_after_the_first_wave(waves, seconds, rate):
    speed = measure_speed(answers(waves, seconds=seconds), IN_FLIGHT)
    assert speed == Speed(pytest.approx(rate), IN_FLIGHT)


@pytest.mark.parametrize(
    ("waves", "seconds"),
    [(0, 1), (1, 100), (2, 100), (15, 1), (10, 1.6)],
)
def test_too_few_answers_or_too_short_a_time_give_no_speed(waves, seconds):
    assert measure_speed(answers(waves, seconds=seconds), IN_FLIGHT) is None


def test_failed_answers_do_not_count():
    failed = answers(20, seconds=5, status=503)
    assert measure_speed(failed, IN_FLIGHT) is None
    assert measure_speed([*failed, *answers(4, seconds=5)], IN_FLIGHT) == Speed(pytest.approx(12.8), IN_FLIGHT)
