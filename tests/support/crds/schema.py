"""Read the CRDs for the tests: schemas by kind, and a walk over all fields."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parents[3] / "crds"
_LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # ten times faster, but PyYAML may have been built without libyaml


@functools.cache
def read_crds() -> dict[str, dict[str, Any]]:
    """Return the CRDs by kind."""
    documents = [yaml.load(path.read_text(), _LOADER) for path in sorted(CRDS.glob("*.yaml"))]
    return {document["spec"]["names"]["kind"]: document for document in documents}


def root_schema(crd: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the one version."""
    (version,) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, schema) of a schema and all below: ``spec.a[].b`` for lists, ``spec.a{}`` for maps."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}{{}}")
