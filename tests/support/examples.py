"""The number of examples of a property, for properties that need another number than the profile's."""

from hypothesis import settings

USUAL = 100
"""Hypothesis' default, which the profile `tunewright` keeps."""


def examples(number: int) -> int:
    """Return `number` times the ratio between the loaded profile's number of examples and the usual one."""
    return max(1, number * settings.default.max_examples // USUAL)
