"""Check the JSON Schemas of a spec before a pod uses them, so that a condition shows an error, and not only a log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema_rs

from tunewright_contracts.output_schema import find_schema_problem
from tunewright_operator.api.resource import ScoreMetric


def explain_bad_schema(schema: dict[str, Any]) -> str | None:
    """Return why a schema cannot be used; None when it can.

    Regular expressions in the schema are not compiled here: only the pods do that, with a time limit.
    """
    problem = find_schema_problem(schema)  # It refuses remote references, which the validation below would fetch.
    if problem is not None:
        return problem
    try:
        jsonschema_rs.meta.validate(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _path(error))
        return f"it is not a JSON Schema: {f'at {path}: ' if path else ''}{str(error).partition(chr(10))[0]}"
    return None


def explain_bad_metric(metrics: Iterable[ScoreMetric]) -> str | None:
    """Return why a metric of an evaluation cannot be computed, with the field's name; None when all can."""
    for index, metric in enumerate(metrics):
        problem = None if metric.json_schema is None else explain_bad_schema(metric.json_schema)
        if problem is not None:
            return f"spec.evaluation.metrics[{index}].schema: {problem}"
    return None


def _path(error: Exception) -> list[str | int]:
    return list(getattr(error, "instance_path", ()))
