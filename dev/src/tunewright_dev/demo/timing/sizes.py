"""What the story asks for on a machine of some speed: sample sizes, step lengths, and how long it waits for progress.

Statistics set the least sample, whatever the speed: a slow machine takes longer and proves the same. Job 4's adapter
breaks its output contract on every third ticket. At 20 % of the sessions the guardrail rolls it back after 60 to 65
answers in the median and after at most 95 in 99 of 100 canaries; with fewer answers demanded for a Pass, it could pass
before. A fast machine takes more, so that smaller regressions would be seen. The held-out set stays at 200 records,
since half of it could not prove with a fair chance that an equal adapter is not worse by 0.05 (both: "what a verdict
means"). The training is never made shorter: the adapters are those that the figures are about.
"""

from __future__ import annotations

import dataclasses
import math

TOKENS_PER_ANSWER = 16
"""An answer is one line of JSON: 12 to 17 tokens."""

SMALLEST_SHARE = 0.2
"""The candidate's share at its first step: its answers are the scarce ones."""

LEAST_REQUESTS, MOST_REQUESTS = 100, 400
"""Of either side, for a Pass.

A machine that is faster than the reference takes as many more as it has in the same time.
"""

LEAST_MAX_SECONDS, LONGEST_SECONDS = 3600, 2_592_000
"""When a step becomes Inconclusive. The API allows 30 days."""
MAX_SECONDS_FACTOR = 20
"""How many times slower than measured the pool may become before that."""

BAKE_ANSWERS, LEAST_BAKE_SECONDS = 60, 20
"""A bake lasts until about so many answers were watched."""

PATIENCE_SECONDS = 900.0
"""How long nothing new may be seen on the reference machine,
where the longest wait between two signs is about one minute.
"""
FIRST_PATIENCE_SECONDS = 1800.0
"""The same before the speed is known: servers may have gigabytes of image and model to fetch."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is derived from the speed; ``slowdown`` is 1 on the reference machine and 2 on one that is half as fast."""

    min_requests: int
    max_seconds: int
    bake_seconds: int
    patience_seconds: float
    slowdown: float


def derive_sizes(tokens_per_second: float, reference_tokens_per_second: float) -> Sizes:
    """Return the sizes for a pool that generates ``tokens_per_second``.

    Raises:
        ValueError: a speed is not above 0.
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
