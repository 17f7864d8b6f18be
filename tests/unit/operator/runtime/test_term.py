"""The term of a leader ends at a point in time, whatever its threads do."""

from __future__ import annotations

import time

import pytest

from tunewright_operator.runtime.clock import seconds_since_boot
from tunewright_operator.runtime.term import LeadershipLostError, Term


class At:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_before_the_first_renewal_it_has_not_begun():
    term = Term(At())
    assert term.seconds_left() == 0
    with pytest.raises(LeadershipLostError):
        term.check()


def test_it_ends_without_a_renewal():
    now = At()
    term = Term(now)
    term.extend(1010.0)
    term.check()
    now.seconds = 1009.0
    assert term.seconds_left() == 1
    term.extend(1019.0)
    now.seconds = 1018.9
    term.check()
    now.seconds = 1019.0
    with pytest.raises(LeadershipLostError):
        term.check()


def test_a_renewal_that_is_late_does_not_revive_it():
    now = At()
    term = Term(now)
    term.extend(1010.0)
    now.seconds = 1010.0
    term.extend(1020.0)
    assert term.seconds_left() == 0


def test_a_term_that_was_ended_stays_over():
    term = Term(At())
    term.extend(1010.0)
    term.end()
    term.extend(1020.0)
    assert term.seconds_left() == 0


def test_the_clock_advances_also_while_the_machine_is_suspended():
    # No test can suspend the machine, but the clock is ahead of the one that stops then, or equal.
    assert seconds_since_boot() >= time.monotonic() - 1
