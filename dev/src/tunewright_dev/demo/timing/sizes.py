"""The sizes of the story for a machine's speed: samples, step lengths, and how long it waits for progress.

Statistics determine the smallest sample at any speed: a slow machine takes longer and proves the same. Job 4's adapter
breaks its output contract on every third ticket. With 20 % of the sessions, the guardrail rolls it back after 64 to 66
answers in the median, and after at most 100 in 99 of 100 canaries. If a Pass needed fewer answers, the adapter could
pass before that. A fast machine takes more answers, so that smaller regressions would be detected. The held-out set
always has 200 records, because half of them would often not prove that an equal adapter is not worse by 0.05 (for both,
see "what a verdict means"). The training is never shortened, because the figures are about these adapters.
"""

from __future__ import annotations

import dataclasses
import math

TOKENS_PER_ANSWER = 16
"""An answer is one line of JSON: 12 to 17 tokens."""

SMALLEST_SHARE = 0.2
"""The candidate's share at its first step, where its answers are rare."""

LEAST_REQUESTS, MOST_REQUESTS = 100, 400
"""The answers of each revision that a Pass needs.

A machine that is faster than the reference takes as many more as it gets in the same time.
"""

LEAST_MAX_SECONDS, LONGEST_SECONDS = 3600, 2_592_000
"""The time after which a step is Inconclusive. The API allows 30 days."""
MAX_SECONDS_FACTOR = 20
"""How many times slower than measured the pool can become before that."""

BAKE_ANSWERS, LEAST_BAKE_SECONDS = 60, 20
"""A bake lasts for about this many answers."""

PATIENCE_SECONDS = 900.0
"""The longest wait without progress on the reference machine, where progress takes at most about one minute."""
FIRST_PATIENCE_SECONDS = 1800.0
"""The same before the speed is known: servers may have to fetch gigabytes of images and models."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes for a speed; ``slowdown`` is 1 on the reference machine and 2 on one that is half as fast."""

    min_requests: int
    max_seconds: int
    bake_seconds: int
    patience_seconds: float
    slowdown: float


def derive_sizes(tokens_per_second: float, reference_tokens_per_second: float) -> Sizes:
    """Return the sizes for a pool that generates ``tokens_per_second``.

    Raises:
        ValueError: a speed is not greater than 0.
    """
    if min(tokens_per_second, reference_tokens_per_second) <= 0:
        raise ValueError(f"speeds must be above 0: {tokens_per_second}, {reference_tokens_per_second}")
    slowdown = reference_tokens_per_second / tokens_per_second
    answers_per_second = tokens_per_second / TOKENS_PER_ANSWER
    min_requests = _clamp(LEAST_REQUESTS / slowdown, LEAST_REQUESTS, MOST_REQUESTS)
    expected_seconds = min_requests / (answers_per_second * SMALLEST_SHARE)
    return Sizes(
        min_requests=min_requests,
        max_seconds=_clamp(expected_seconds * MAX_SECONDS_FACTOR, LEAST_MAX_SECONDS, LONGEST_SECONDS),
        bake_seconds=_clamp(BAKE_ANSWERS / answers_per_second, LEAST_BAKE_SECONDS, LONGEST_SECONDS),
        patience_seconds=PATIENCE_SECONDS * max(1.0, slowdown),
        slowdown=slowdown,
    )


def _clamp(value: float, least: int, most: int) -> int:
    return max(least, min(most, math.ceil(value)))
