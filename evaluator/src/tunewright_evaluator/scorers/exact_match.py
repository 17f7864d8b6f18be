"""ExactMatch: the answer equals the reference.

Two JSON documents are equal if they parse to equal values, because key order and spaces have no meaning (RFC 8259,
section 4). Anything else is compared as text, without white space at both ends.
"""

from __future__ import annotations

import json
from typing import Any, Self

from tunewright_contracts.metrics import MetricSpec

_NOT_JSON = object()


class ExactMatchScorer:
    """1 if answer and reference are equal, otherwise 0."""

    @classmethod
    def from_metric(cls, _metric: MetricSpec) -> Self:
        """Return the scorer; it has no settings."""
        return cls()

    def score(self, answer: str, reference: str) -> float:
        """Return 1.0 or 0.0."""
        if answer.strip() == reference.strip():
            return 1.0
        expected = _parse_structure(reference)
        return float(expected is not _NOT_JSON and _equal(_parse_structure(answer), expected))


def _parse_structure(text: str) -> Any:
    """Return a JSON object or array, or `_NOT_JSON` for other text, which includes single JSON strings and numbers."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON
    return value if isinstance(value, dict | list) else _NOT_JSON


def _equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal; unlike in Python, ``true`` is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
