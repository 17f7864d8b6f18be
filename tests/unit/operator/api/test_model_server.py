"""The methods of a ModelServer."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.model_server import ModelServer


def make_server(**spec: Any) -> ModelServer:
    required = {"baseModelRef": {"name": "a"}, "storage": {"secretRef": {"name": "s"}}}
    return ModelServer.from_body({"metadata": {"name": "pool", "namespace": "team"}, "spec": required | spec})


@pytest.mark.parametrize(
    ("allowed", "namespace", "labels", "expected"),
    [
        ({}, "team", {}, True),
        ({}, "other", {}, False),
        ({"from": "All"}, "other", {}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "other", {"a": "1"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "other", {}, False),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "team", {}, True),
    ],
)
def test_which_namespaces_may_use_it(
    allowed: dict[str, Any], namespace: str, labels: dict[str, str], expected: bool
) -> None:
    assert make_server(allowedNamespaces=allowed).admits(namespace, labels) is expected


def test_the_endpoint_is_the_address_of_the_service() -> None:
    assert make_server().endpoint == "http://pool.team.svc:8000"
