"""How YAML for Kubernetes is written."""

from __future__ import annotations

import pytest

from tunewright_dev.kubernetes_yaml import format_yaml


@pytest.mark.parametrize(
    "word", ["2e-3", "1E5", "2.5e-4", "10", "1.", ".5", "0x1f", "0o17", "y", "N", "yes", "null", "~"]
)
def test_a_string_that_kubernetes_would_read_as_something_else_is_quoted(word):
    assert format_yaml({"value": word}) == f"value: '{word}'\n"


def test_other_strings_are_not_quoted():
    words = {"a": "2e-3-x", "b": "500m", "c": "4Gi", "d": "yesterday", "e": "e5"}
    assert format_yaml(words) == "a: 2e-3-x\nb: 500m\nc: 4Gi\nd: yesterday\ne: e5\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [("2e-4", "'2e-4'"), (5, "5"), (True, "true"), (["a", "10"], "[a, '10']"), ({"rank": 16}, "{rank: 16}")],
)
def test_one_line(value, text):
    assert format_yaml(value, flow=True).strip() == text


def test_equal_parts_are_repeated():
    part = {"a": 1}
    assert "&" not in format_yaml({"x": part, "y": part})
