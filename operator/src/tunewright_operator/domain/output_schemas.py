"""Is what a spec gives as a JSON Schema one? Asked before anything is run by it,
so that the answer is a condition and not a log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema_rs

from tunewright_contracts.output_schema import find_schema_problem
from tunewright_operator.api.resource import ScoreMetric


def explain_bad_schema(schema: dict[str, Any]) -> str | None:
    """Return why a schema cannot be used; None when it can.

    Its patterns are not compiled here: that is done under a limit of time.
    """
    problem = find_schema_problem(schema)  # which leaves no address that the validation below would fetch
    if problem is not None:
        return problem
    try:
        jsonschema_rs.meta.validate(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _path(error))
        return f"it is not a JSON Schema: {f'at {path}: ' if path else ''}{str(error).partition(chr(10))[0]}"
    return None


def explain_bad_metric(metrics: Iterable[ScoreMetric]) -> str | None:
    """Return why a metric of an evaluation cannot be computed, with its field; None when all can."""
    for index, metric in enumerate(metrics):
        problem = None if metric.json_schema is None else explain_bad_schema(metric.json_schema)
        if problem is not None:
            return f"spec.evaluation.metrics[{index}].schema: {problem}"
    return None


def _path(error: Exception) -> list[str | int]:
    return list(getattr(error, "instance_path", ()))
