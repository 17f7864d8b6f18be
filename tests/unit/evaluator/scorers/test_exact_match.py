"""JSON is compared by value, all other answers by text."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.scorers import build_scorer


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("yes", "yes", 1),
        (" yes\n", "yes", 1),
        ("Yes", "yes", 0),
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}', 1),
        ('{"a": 1}', '{"a": 2}', 0),
        ('{"a": true}', '{"a": 1}', 0),
        ("[1, 2]", "[1,2]", 1),
        ("[2, 1]", "[1,2]", 0),
        ('Sure! {"a": 1}', '{"a": 1}', 0),
        ("1.0", "1", 0),
        ("", '{"a": 1}', 0),
        ("[" * 100_000, '{"a": 1}', 0),
    ],
)
def test_exact_match(answer, reference, score):
    assert build_scorer(MetricSpec(type="ExactMatch")).score(answer, reference) == score
