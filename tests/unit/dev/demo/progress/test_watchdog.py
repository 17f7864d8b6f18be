"""Progress is a state that did not occur before."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.progress.watchdog import LONGEST_TICK_SECONDS, Watchdog


def play(*states, seconds=10):
    """Record one state each ten seconds; return the time without progress after each."""
    watchdog = Watchdog(0)
    silence = []
    for place, state in enumerate(states, start=1):
        watchdog.note(state, place * seconds)
        silence.append(watchdog.silent_seconds)
    return silence


@pytest.mark.parametrize(
    ("states", "silence"),
    [
        ([1, 2, 3, 4], [0, 0, 0, 0]),
        ([1, 1, 1, 2, 2], [0, 10, 20, 0, 10]),
        # A pod that crashes, starts and crashes again makes no progress.
        (["starting", "crashed", "starting", "crashed"], [0, 0, 10, 20]),
        # A training that resumes from its checkpoint repeats steps; steps after these are progress again.
        ([8, 9, 10, 8, 9, 10, 11], [0, 0, 0, 10, 20, 30, 0]),
    ],
)
def test_a_new_state_ends_the_time_without_progress(states, silence):
    assert play(*states) == silence


def test_time_without_checks_counts_as_one_tick():
    watchdog = Watchdog(0)
    watchdog.note("a", 1)
    watchdog.note("a", 10_000)  # the machine slept
    assert watchdog.silent_seconds == LONGEST_TICK_SECONDS
