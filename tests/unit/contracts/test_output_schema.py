"""Which JSON schemas of tenants are run at all."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.output_schema import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, find_schema_problem


def nest(depth: int) -> dict[str, Any]:
    return {"not": nest(depth - 1)} if depth > 1 else {}


def fill(size: int) -> dict[str, Any]:
    """Return a schema of exactly this number of bytes."""
    return {"title": "x" * (size - len('{"title":""}'))}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        nest(MAX_SCHEMA_DEPTH),
        fill(MAX_SCHEMA_BYTES),
        {"minimum": -(2**63), "maximum": 2**64 - 1},
        {"const": True},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$ref": "#"},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}},
        {"$ref": "#/$defs/a~0b", "$defs": {"a~b": {}}},
        {"$ref": "#/$defs/%C3%A4", "$defs": {"ä": {}}},
        {"anyOf": [{}, {"$ref": "#/anyOf/0"}]},
        {"$ref": "#queue", "$defs": {"a": {"$anchor": "queue"}}},
        {"$dynamicRef": "#node", "$defs": {"a": {"$dynamicAnchor": "node"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#a", "definitions": {"a": {"$id": "#a"}}},
        {"properties": {"$ref": {"type": "string"}}},
    ],
)
def test_schemas_that_are_run(schema: dict[str, Any]) -> None:
    assert find_schema_problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (nest(MAX_SCHEMA_DEPTH + 1), "20"),
        ({"anyOf": [{"items": [nest(MAX_SCHEMA_DEPTH - 3)]}]}, "20"),
        (fill(MAX_SCHEMA_BYTES + 1), f"{MAX_SCHEMA_BYTES + 1} bytes"),
        ({"title": "ü" * (MAX_SCHEMA_BYTES // 2)}, "bytes"),
        ({"maximum": 2**64}, "64 bits"),
        ({"enum": [[-(2**63) - 1]]}, "64 bits"),
        ({"$schema": "https://example.com/dialect"}, "'https://example.com/dialect'"),
        ({"$schema": 7}, "7"),
        ({"$ref": "https://example.com/schema.json"}, "'https://example.com/schema.json'"),
        ({"items": [{"$ref": "other.json#/a"}]}, "'other.json#/a'"),
        ({"$dynamicRef": "other.json#x"}, "'other.json#x'"),
        ({"$ref": "#/$defs/a"}, "'#/$defs/a'"),
        ({"anyOf": [{}, {"$ref": "#/anyOf/2"}]}, "'#/anyOf/2'"),
        ({"$ref": "#/title/0", "title": "text"}, "'#/title/0'"),
        ({"$ref": "#queue", "$defs": {"a": {"$anchor": "other"}}}, "'#queue'"),
    ],
)
def test_schemas_that_are_not_run(schema: dict[str, Any], problem: str) -> None:
    assert problem in (find_schema_problem(schema) or "")
