"""The interface of scorers."""

from __future__ import annotations

from typing import Protocol


class ScorerError(ValueError):
    """A metric has invalid settings; the message states what is wrong and where."""


class Scorer(Protocol):
    """Score one answer against its reference, from 0 (bad) to 1 (good)."""

    def score(self, answer: str, reference: str) -> float:
        """Return the score of one answer."""
        ...
