"""The methods of a BaseModel."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.base_model import BaseModel

SPEC = {"source": {"s3": {"uri": "s3://models/a"}}, "contextLength": 512}


@pytest.mark.parametrize(
    ("allowed", "labels", "expected"),
    [
        ({"from": "All"}, {}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, {"team": "a"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, {"team": "b"}, False),
    ],
)
def test_which_namespaces_may_use_it(allowed: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    model = BaseModel.from_body({"metadata": {"name": "x"}, "spec": {**SPEC, "allowedNamespaces": allowed}})
    assert model.admits(labels) is expected
