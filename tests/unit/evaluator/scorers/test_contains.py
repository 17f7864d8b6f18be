"""The answer must contain every word, in upper or lower case; without words, it must contain the reference."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.scorers import build_scorer


@pytest.mark.parametrize(
    ("values", "answer", "reference", "score"),
    [
        ((), "It is Paris.", "paris", 1),
        ((), "It is Rome.", "paris", 0),
        (("refund", "days"), "Refunds take 5 DAYS", "", 1),
        (("refund", "weeks"), "Refunds take 5 days", "", 0),
    ],
)
def test_contains(values, answer, reference, score):
    assert build_scorer(MetricSpec(type="Contains", values=values)).score(answer, reference) == score
