"""Which answers count, and which count as bad."""

import pytest

from tunewright_contracts.metrics import LiveMetricType
from tunewright_server.http.ending import Ending, Outcome

GOOD: frozenset = frozenset()
SLOW = frozenset({LiveMetricType.LATENCY})
WRONG = frozenset({LiveMetricType.ERROR_RATE})


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (200, Ending.WHOLE),
        (399, Ending.WHOLE),
        (400, Ending.CLIENT_ERROR),
        (499, Ending.CLIENT_ERROR),
        (500, Ending.FAILED),
        (503, Ending.FAILED),
    ],
)
def test_a_whole_response_ends_as_its_status_shows(status, ending):
    assert Ending.of_status(status) is ending


@pytest.mark.parametrize(
    ("ending", "in_time", "late"),
    [
        (Ending.WHOLE, GOOD, SLOW),
        (Ending.FAILED, WRONG, WRONG | SLOW),
        (Ending.UNFINISHED, WRONG, WRONG | SLOW),
        (Ending.ABANDONED, None, SLOW),
        (Ending.CLIENT_ERROR, None, None),
        (Ending.CANCELLED, None, None),
    ],
)
def test_bad_metrics(ending, in_time, late):
    assert Outcome(ending, 100.0).find_bad_metrics(100) == in_time
    assert Outcome(ending, 100.1).find_bad_metrics(100) == late
    assert Outcome(ending, 1e9).find_bad_metrics(None) == in_time, "without a limit nothing is slow"


def test_every_ending_has_a_result():
    assert {Outcome(ending, 0.0).find_bad_metrics(1) for ending in Ending} == {None, GOOD, WRONG}
