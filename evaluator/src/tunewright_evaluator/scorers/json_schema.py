"""JSONSchema: the answer is one JSON document that a schema accepts (JSON Schema 2020-12)."""

from __future__ import annotations

import json
from typing import Any, Self

import jsonschema_rs

from tunewright_contracts.metrics import MetricSpec
from tunewright_contracts.output_schema import find_schema_problem
from tunewright_evaluator.scorers.scorer import ScorerError


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")


class JSONSchemaScorer:
    """1 if the whole answer is valid JSON, otherwise 0. Prose around the JSON makes the answer invalid."""

    def __init__(self, schema: dict[str, Any]) -> None:
        problem = find_schema_problem(schema)
        if problem is not None:
            raise ScorerError(f"metric JSONSchema: {problem}; correct evaluation.metrics[].schema")
        try:
            self._validator = jsonschema_rs.validator_for(schema, retriever=_refuse)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            first_line = str(error).partition("\n")[0]
            raise ScorerError(
                f"metric JSONSchema: its schema is not a JSON Schema: {first_line}; correct evaluation.metrics[].schema"
            ) from error

    @classmethod
    def from_metric(cls, metric: MetricSpec) -> Self:
        """Return the scorer for a metric's schema; without one, any JSON object or array is valid.

        Raises:
            ScorerError: the schema is not a JSON Schema.
        """
        return cls(metric.json_schema or {"type": ["object", "array"]})

    def score(self, answer: str, reference: str) -> float:  # noqa: ARG002 - the reference is not needed
        """Return 1.0 or 0.0."""
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError):
            return 0.0
        return float(self._validator.is_valid(document))
