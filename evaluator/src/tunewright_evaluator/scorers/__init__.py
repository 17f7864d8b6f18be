"""Scorers: one file each, chosen by `MetricType`; also imported by the trainer."""

from __future__ import annotations

from tunewright_contracts.metrics import MetricSpec, MetricType
from tunewright_evaluator.scorers.contains import ContainsScorer
from tunewright_evaluator.scorers.exact_match import ExactMatchScorer
from tunewright_evaluator.scorers.json_schema import JSONSchemaScorer
from tunewright_evaluator.scorers.scorer import Scorer, ScorerError

__all__ = ["Scorer", "ScorerError", "build_scorer"]

_SCORERS: dict[MetricType, type[ContainsScorer | ExactMatchScorer | JSONSchemaScorer]] = {
    MetricType.CONTAINS: ContainsScorer,
    MetricType.EXACT_MATCH: ExactMatchScorer,
    MetricType.JSON_SCHEMA: JSONSchemaScorer,
}


def build_scorer(metric: MetricSpec) -> Scorer:
    """Return the scorer of a metric.

    Raises:
        ScorerError: the metric has invalid settings (a schema that is not a JSON Schema).
    """
    return _SCORERS[metric.type].from_metric(metric)
