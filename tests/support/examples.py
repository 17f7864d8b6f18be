"""How many examples a property is tried on, where the profile's own number does not suit it."""

from hypothesis import settings

USUAL = 100
"""Hypothesis' own number, which the profile `tunewright` keeps."""


def examples(number: int) -> int:
    """Return `number`, as many times more as the loaded profile has more than the usual one."""
    return max(1, number * settings.default.max_examples // USUAL)
