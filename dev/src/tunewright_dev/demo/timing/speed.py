"""The speed of the pool: tokens per second, with as many requests at a time as in the story."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tunewright_dev.demo.observed.answers import Answer

LEAST_SECONDS = 15.0
"""A shorter measurement is not reliable."""
WAVES = 2
"""How many answers are measured after the first ones, as a multiple of the requests at a time."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """Generated tokens per second of the whole pool, with ``in_flight`` requests at a time."""

    tokens_per_second: float
    in_flight: int


def measure_speed(answers: Sequence[Answer], in_flight: int) -> Speed | None:
    """Return the speed that the answers show, or None if there are too few.

    The first ``in_flight`` answers do not count, because the pool's batches were not full yet. Failed answers have no
    tokens.
    """
    given = sorted((answer for answer in answers if not answer.failed), key=lambda answer: answer.end)
    if len(given) < in_flight * (1 + WAVES):
        return None
    seconds = given[-1].end - given[in_flight - 1].end
    if seconds < LEAST_SECONDS:
        return None
    return Speed(sum(answer.tokens for answer in given[in_flight:]) / seconds, in_flight)
