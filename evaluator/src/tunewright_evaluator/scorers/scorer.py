"""What a scorer is."""

from __future__ import annotations

from typing import Protocol


class ScorerError(ValueError):
    """A metric's settings are unusable; the message says what and where."""


class Scorer(Protocol):
    """Scores one answer against its reference, from 0 (bad) to 1 (good)."""

    def score(self, answer: str, reference: str) -> float:
        """Return the score of one answer."""
        ...
