"""Quantities of the Kubernetes API."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tunewright_operator.api.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("1", "1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("500m", "0.5"),
        ("3u", "0.000003"),
        ("2k", "2000"),
        ("2Ki", "2048"),
        ("16Gi", "17179869184"),
        ("1E", "1000000000000000000"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("-1", "-1"),
    ],
)
def test_suffixes(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "m", "1mi", "1.2.3", "1 Gi", "1gi", "NaN", "1ki"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)
