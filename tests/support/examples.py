"""How many cases of a long list `make check` runs: `make test-full` runs ten times as many."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

T = TypeVar("T")

USUAL = 100
"""Hypothesis' default, which the profile `tunewright` keeps."""


def examples(number: int) -> int:
    """Return `number` times the ratio between the loaded profile's number of examples and the usual one."""
    return max(1, number * settings.default.max_examples // USUAL)


def spread(cases: Sequence[T], number: int) -> list[T]:
    """Return `examples(number)` of the cases at equal distances, including the first and the last.

    It returns all cases if there are no more, so that `make test-full` runs each case of up to ten times the number.
    """
    wanted, last = examples(number), len(cases) - 1
    if wanted > last:
        return [*cases]
    return [cases[round(place * last / max(1, wanted - 1))] for place in range(wanted)]
