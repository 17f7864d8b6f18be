"""The latency limit of a rollout, derived from the incumbent's answers before the first window (ADR 7)."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright_contracts.serving_plan import LATENCY_BOUNDS_MILLISECONDS, PodState

MIN_ANSWERS_FOR_P95 = 50
"""The fewest answers from which a 95th percentile is computed."""


def derive_slow_limit(states: Iterable[PodState], alias: str, incumbent: str, max_ratio: float) -> int | None:
    """Return ``max_ratio`` × the incumbent's p95 in milliseconds; None while it has too few answers.

    The p95 covers all answers that the running pods have counted. It is the upper bound of a bucket of their latency
    histograms, and so at most 25 % too high (ADR 7).
    """
    sums = [0] * len(LATENCY_BOUNDS_MILLISECONDS)
    beyond = 0
    for state in states:
        for counters in state.counters:
            if counters.alias != alias or counters.revision != incumbent:
                continue
            for index, count in enumerate(counters.latency_milliseconds):
                if index < len(sums):
                    sums[index] += count
                else:
                    beyond += count
    total = sum(sums) + beyond
    if total < MIN_ANSWERS_FOR_P95:
        return None
    seen = 0
    for bound, count in zip(LATENCY_BOUNDS_MILLISECONDS, sums, strict=True):
        seen += count
        if seen * 100 >= total * 95:
            return max(1, round(bound * max_ratio))
    return round(LATENCY_BOUNDS_MILLISECONDS[-1] * max_ratio)
