"""The metrics of answers: offline metrics on a held-out set, and live metrics on the answers to clients."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from tunewright_contracts.document import Decimal, Message


class MetricType(StrEnum):
    """Scorers of answers; each is one file in `tunewright_evaluator.scorers`."""

    EXACT_MATCH = "ExactMatch"
    JSON_SCHEMA = "JSONSchema"
    CONTAINS = "Contains"


class MetricSpec(Message):
    """One offline metric: ``minimum`` is a bound on the mean score, ``max_regression`` a non-inferiority margin."""

    type: MetricType
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    values: tuple[str, ...] = ()
    minimum: Decimal | None = None
    max_regression: Decimal | None = None


class LiveMetricType(StrEnum):
    """Live metrics, each a rate of bad answers; they are also the keys of `RevisionCounters.bad`."""

    ERROR_RATE = "ErrorRate"
    LATENCY = "Latency"
    OUTPUT_CONTRACT = "OutputContract"
