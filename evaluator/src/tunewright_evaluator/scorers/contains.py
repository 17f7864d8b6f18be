"""Contains: the answer contains certain texts."""

from __future__ import annotations

from typing import Self

from tunewright_contracts.metrics import MetricSpec


class ContainsScorer:
    """1 if the answer contains every value (case is ignored), or without values, the reference; otherwise 0."""

    def __init__(self, values: tuple[str, ...]) -> None:
        self._values = tuple(value.casefold() for value in values)

    @classmethod
    def from_metric(cls, metric: MetricSpec) -> Self:
        """Return the scorer for a metric's ``values``."""
        return cls(metric.values)

    def score(self, answer: str, reference: str) -> float:
        """Return 1.0 or 0.0."""
        text = answer.casefold()
        wanted = self._values or (reference.strip().casefold(),)
        return float(all(value in text for value in wanted))
