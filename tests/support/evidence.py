"""Polls in which the guards bet at once, as when a poll's evidence is recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable

from tunewright_operator.domain.evidence.counters import PodReading
from tunewright_operator.domain.evidence.observation import Observation, add_counts, bet

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def absorb(
    observation: Observation, readings: Iterable[PodReading], existing_pods: Collection[str] | None = None
) -> Observation:
    """Add what the pods counted, and let the guards bet on it."""
    return bet(add_counts(observation, readings, existing_pods), NOW)
