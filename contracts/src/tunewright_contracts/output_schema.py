"""What a tenant's JSON Schema may be: checked before it enters a plan that all tenants share, and again where it runs."""

from __future__ import annotations

import json
from typing import Any

MAX_SCHEMA_BYTES = 16 * 1024
MAX_SCHEMA_DEPTH = 20
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DIALECT_PREFIXES = ("https://json-schema.org/draft/", "http://json-schema.org/draft-")
_NUMBERS = range(-(2**63), 2**64)


def find_schema_problem(schema: dict[str, Any]) -> str | None:
    """Return why a schema is not run at all, or None.

    It is over 16 KiB, deeper than 20, has a remote reference, an unknown dialect or a number beyond 64 bits. One that is nested a few hundred levels
    deep cannot even be written or read by the parsers on its way.
    """
    layer: list[object] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        following: list[object] = []
        for node in layer:
            if isinstance(node, dict):
                problem = _find_keyword_problem(node)
                if problem is not None:
                    return problem
                following.extend(node.values())
            elif isinstance(node, list):
                following.extend(node)
        if any(isinstance(node, int) and node not in _NUMBERS for node in following):
            return "the schema has a whole number beyond 64 bits"
        layer = [node for node in following if isinstance(node, dict | list)]
        if not layer:
            break
    else:
        return f"the schema is nested deeper than {MAX_SCHEMA_DEPTH}"
    size = len(json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    if size > MAX_SCHEMA_BYTES:
        return f"the schema has {size} bytes, at most {MAX_SCHEMA_BYTES} are allowed"
    return None


def _find_keyword_problem(node: dict[str, Any]) -> str | None:
    dialect = node.get("$schema", _DIALECT_PREFIXES[0])
    if not (isinstance(dialect, str) and dialect.startswith(_DIALECT_PREFIXES)):
        return f"$schema {dialect!r} is no dialect of json-schema.org; leave it out or name one of those"
    for name in _REFERENCES:
        target = node.get(name)
        if isinstance(target, str) and not target.startswith("#"):
            return f"{name} {target!r} leads out of the schema; only references that begin with # are followed"
    return None
