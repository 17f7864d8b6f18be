"""The rules for a tenant's JSON Schema, checked before it enters the plan that all tenants share and before its use."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

MAX_SCHEMA_BYTES = 16 * 1024
MAX_SCHEMA_DEPTH = 20
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema",
    }
)
"""The dialects that the validator has built in: it would fetch any other from an address that the tenant chooses."""
_NUMBERS = range(-(2**63), 2**64)


def find_schema_problem(schema: dict[str, Any]) -> str | None:
    """Return why a schema is rejected, or None.

    A schema is rejected if it has more than 16 KiB or 20 levels, an unknown dialect, a reference to a missing part or
    to another document, or an integer that does not fit into 64 bits. A schema with a few hundred levels could not even
    be written or read by all parsers between the operator and the server.
    """
    dialect = schema.get("$schema")
    if dialect is not None and not (isinstance(dialect, str) and dialect.removesuffix("#") in _DIALECTS):
        return (
            f"$schema {dialect!r} is not a supported dialect; remove it, or use one of {', '.join(sorted(_DIALECTS))}"
        )
    anchors = _list_anchors(schema)
    layer: list[object] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        following: list[object] = []
        for node in layer:
            if isinstance(node, dict):
                problem = _find_reference_problem(node, schema, anchors)
                if problem is not None:
                    return problem
                following.extend(node.values())
            elif isinstance(node, list):
                following.extend(node)
        if any(isinstance(node, int) and node not in _NUMBERS for node in following):
            return "the schema has an integer that does not fit into 64 bits"
        layer = [node for node in following if isinstance(node, dict | list)]
        if not layer:
            break
    else:
        return f"the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels"
    size = len(json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    if size > MAX_SCHEMA_BYTES:
        return f"the schema has {size} bytes; at most {MAX_SCHEMA_BYTES} are allowed"
    return None


def _find_reference_problem(node: dict[str, Any], schema: dict[str, Any], anchors: frozenset[str]) -> str | None:
    for name in _REFERENCES:
        target = node.get(name)
        if not isinstance(target, str):
            continue
        if not target.startswith("#"):
            return f"{name} {target!r} refers to another document; only references that begin with # are allowed"
        if target == "#":
            continue
        if not (_resolves(target[2:], schema) if target.startswith("#/") else target in anchors):
            return f"{name} {target!r} refers to a part that the schema does not have"
    return None


def _list_anchors(schema: dict[str, Any]) -> frozenset[str]:
    """Return the names that a reference may use instead of a JSON pointer, each with its ``#``.

    They are ``$anchor`` and ``$dynamicAnchor``, and before draft 2019-09 a ``$id`` or ``id`` of this form.
    """
    anchors: set[str] = set()
    nodes: list[object] = [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            names = (node.get("$anchor"), node.get("$dynamicAnchor"))
            anchors.update(f"#{name}" for name in names if isinstance(name, str))
            anchors.update(name for name in (node.get("$id"), node.get("id")) if isinstance(name, str))
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
    return frozenset(anchors)


def _resolves(pointer: str, document: object) -> bool:
    """Return whether a document has the part that a JSON Pointer (RFC 6901, in a URI fragment) refers to."""
    for part in pointer.split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return False
    return True
