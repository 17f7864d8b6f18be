"""How fast the pool answers: tokens per second, with as many requests under way as the story has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tunewright_dev.demo.observed.answers import Answer

LEAST_SECONDS = 15.0
"""A shorter measurement shows the machine's mood."""
WAVES = 2
"""How many times as many answers as requests under way are measured, after the first ones."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """Generated tokens per second of the pool as a whole, with ``in_flight`` requests under way."""

    tokens_per_second: float
    in_flight: int


def measure_speed(answers: Sequence[Answer], in_flight: int) -> Speed | None:
    """Return the speed that the answers show; None while there are too few to tell.

    The first ``in_flight`` answers are left out: they came while the requests were only beginning to fill the pool's
    batches. Failed ones have no tokens.
    """
    given = sorted((answer for answer in answers if not answer.failed), key=lambda answer: answer.end)
    if len(given) < in_flight * (1 + WAVES):
        return None
    seconds = given[-1].end - given[in_flight - 1].end
    if seconds < LEAST_SECONDS:
        return None
    return Speed(sum(answer.tokens for answer in given[in_flight:]) / seconds, in_flight)
