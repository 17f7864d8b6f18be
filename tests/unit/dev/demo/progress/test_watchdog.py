"""Progress is a state that was not there before."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.progress.watchdog import LONGEST_TICK_SECONDS, Watchdog


def play(*states, seconds=10):
    """Note one state each ten seconds; return how long it has been silent after each."""
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
        # A pod that crashes, starts and crashes again comes nowhere.
        (["starting", "crashed", "starting", "crashed"], [0, 0, 10, 20]),
        # A training that resumes from its checkpoint repeats steps; from where it was, it is progress again.
        ([8, 9, 10, 8, 9, 10, 11], [0, 0, 0, 10, 20, 30, 0]),
    ],
)
def test_silence_ends_with_a_state_that_was_never_there(states, silence):
    assert play(*states) == silence


def test_time_in_which_nothing_was_checked_counts_for_little():
    watchdog = Watchdog(0)
    watchdog.note("a", 1)
    watchdog.note("a", 10_000)  # the machine slept
    assert watchdog.silent_seconds == LONGEST_TICK_SECONDS
