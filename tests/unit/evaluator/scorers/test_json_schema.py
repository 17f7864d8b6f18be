"""The whole answer must be one JSON document that the schema accepts."""

import pytest

from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.scorers import ScorerError, build_scorer

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
        ({"$ref": "#/$defs/nowhere"}, "nowhere' refers to a part that the schema does not have"),
        ({"$ref": "http://127.0.0.1:1/schema"}, "refers to another document"),
    ],
)
def test_an_invalid_json_schema(schema, problem):
    metric = MetricSpec.model_validate({"type": "JSONSchema", "schema": schema})
    with pytest.raises(ScorerError, match=rf"{problem}.*; correct evaluation\.metrics"):
        build_scorer(metric)
