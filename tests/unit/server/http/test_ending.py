"""Which answers count, and which count as bad."""

import pytest

from tunewright_contracts.metrics import LiveMetricType
from tunewright_server.http.ending import Ending, Outcome

GOOD: frozenset = frozenset()
SLOW = frozenset({LiveMetricType.LATENCY})
WRONG = frozenset({LiveMetricType.ERROR_RATE})
BREACH = frozenset({LiveMetricType.OUTPUT_CONTRACT})


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (200, Ending.WHOLE),
        (399, Ending.WHOLE),
        (400, Ending.CLIENT_ERROR),
        (401, Ending.FAILED),
        (403, Ending.FAILED),
        (404, Ending.FAILED),
        (405, Ending.FAILED),
        (413, Ending.CLIENT_ERROR),
        (415, Ending.FAILED),
        (422, Ending.CLIENT_ERROR),
        (429, Ending.OVERLOADED),
        (499, Ending.CLIENT_ERROR),
        (500, Ending.FAILED),
        (502, Ending.FAILED),
        (503, Ending.OVERLOADED),
        (504, Ending.FAILED),
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
        (Ending.OVERLOADED, None, None),
        (Ending.CANCELLED, None, None),
    ],
)
def test_bad_metrics(ending, in_time, late):
    assert Outcome(ending, 100.0).find_bad_metrics(100) == in_time
    assert Outcome(ending, 100.1).find_bad_metrics(100) == late
    assert Outcome(ending, 1e9).find_bad_metrics(None) == in_time, "without a limit nothing is slow"


@pytest.mark.parametrize("ending", list(Ending))
def test_only_an_abandoned_answer_is_known_to_be_too_long_before_its_contract_is_checked(ending):
    short, too_long = (Outcome(ending, 100.0, too_long=value).find_bad_metrics(100) for value in (False, True))
    assert too_long == (BREACH if ending is Ending.ABANDONED else short)


def test_an_abandoned_answer_can_be_slow_and_too_long():
    assert Outcome(Ending.ABANDONED, 100.1, too_long=True).find_bad_metrics(100) == SLOW | BREACH


def test_requests_are_those_that_the_client_made_correctly_and_no_shutdown_stopped():
    others = {ending for ending in Ending if not Outcome(ending, 1.0).is_request}
    assert others == {Ending.CLIENT_ERROR, Ending.OVERLOADED, Ending.CANCELLED}


def test_every_ending_has_a_result():
    assert {Outcome(ending, 0.0).find_bad_metrics(1) for ending in Ending} == {None, GOOD, WRONG}
