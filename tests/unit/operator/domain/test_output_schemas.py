"""Which JSON schemas of a spec can be used, and where one cannot."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.resource import ScoreMetric
from tunewright_operator.domain.output_schemas import explain_bad_metric, explain_bad_schema


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"$schema": {"type": "string"}, "$ref": {"type": "string"}}},
        {"const": {"$schema": "mine"}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"allOf": [{"$ref": "#"}, {"$ref": "#/$defs/a%7E1b"}]}}},
        {"allOf": [{"type": "object"}, {"$ref": "#/allOf/0"}]},
    ],
)
def test_an_unusual_but_valid_schema_is_accepted(schema):
    assert explain_bad_schema(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "at .type: "),
        ({"properties": {"queue": {"enum": "billing"}}}, "at .properties.queue.enum: "),
        ({"anyOf": [{}, {"required": [7]}]}, "at .anyOf[1].required[0]: "),
        ({"$ref": "#/nowhere"}, "'#/nowhere'"),
    ],
)
def test_an_unusable_schema_is_explained_with_its_position(schema: dict[str, Any], words: str) -> None:
    assert words in (explain_bad_schema(schema) or "")


def test_patterns_are_not_compiled_here() -> None:
    assert explain_bad_schema({"pattern": "(a"}) is None


def test_the_first_metric_with_an_unusable_schema_is_named() -> None:
    good, bad = {"type": "object"}, {"type": 7}
    schemas = (None, good, bad, {"type": 8})
    metrics = [ScoreMetric.model_validate({"type": "JSONSchema", "schema": schema}) for schema in schemas]
    assert (explain_bad_metric(metrics) or "").startswith("spec.evaluation.metrics[2].schema: ")
    assert explain_bad_metric(metrics[:2]) is None
