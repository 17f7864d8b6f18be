"""Each scorer's meaning, as a table."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.scorers import ScorerError, build_scorer


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


SCHEMA = {
    "type": "object",
    "properties": {"queue": {"enum": ["a", "b"]}},
    "required": ["queue"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "answer", "score"),
    [
        (SCHEMA, '{"queue": "a"}', 1),
        (SCHEMA, '{"queue": "c"}', 0),
        (SCHEMA, '{"queue": "a"} done', 0),
        (SCHEMA, "not json", 0),
        (None, "{}", 1),
        (None, "3", 0),
    ],
)
def test_json_schema(schema, answer, score):
    metric = MetricSpec.model_validate({"type": "JSONSchema", "schema": schema})
    assert build_scorer(metric).score(answer, "") == score


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "objekt"}, r"is not a JSON Schema: .*objekt"),
        ({"$ref": "#/$defs/nowhere"}, "nowhere.* leads nowhere"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "leads out of the schema"),
    ],
)
def test_json_schema_that_is_none(schema, problem):
    metric = MetricSpec.model_validate({"type": "JSONSchema", "schema": schema})
    with pytest.raises(ScorerError, match=rf"{problem}.*; correct evaluation\.metrics"):
        build_scorer(metric)
