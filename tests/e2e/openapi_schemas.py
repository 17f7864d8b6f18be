"""Convert an API server's OpenAPI document into the schema files that kubeconform reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

LOCATION = "{{.ResourceKind}}{{.KindSuffix}}.json"
"""The file name by which kubeconform finds a kind: ``deployment-apps-v1.json``, ``secret-v1.json``."""


def write_schemas(openapi: dict[str, Any], folder: Path) -> None:
    """Write a JSON Schema for every kind of an OpenAPI v2 document; unknown fields are errors."""
    definitions = {name: strict(schema) for name, schema in openapi["definitions"].items()}
    (folder / "definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in definitions.items():
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            group = gvk["group"].split(".")[0]
            file = "-".join(part for part in (gvk["kind"].lower(), group, gvk["version"]) if part)
            text = {"$ref": f"definitions.json#/definitions/{name}"}
            (folder / f"{file}.json").write_text(json.dumps(text))


def strict(schema: Any) -> Any:
    """Return a schema that refuses unknown fields and accepts numbers and strings for quantities and ports."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in copy.copy(schema).items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not is_open:
        result["additionalProperties"] = False
    if schema.get("format") == "int-or-string" or "Quantity" in str(schema.get("description", ""))[:10]:
        result.pop("type", None)
        result.pop("format", None)
    return result
