"""What a tenant's JSON Schema may be:
checked before it enters a plan that all tenants share, and again where it runs.
"""

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
"""What every validator here has built in:
it would ask the network for any other, and whoever writes a schema chooses whom.
"""
_NUMBERS = range(-(2**63), 2**64)


def find_schema_problem(schema: dict[str, Any]) -> str | None:
    """Return why a schema is not run at all, or None.

    It is over 16 KiB, deeper than 20, of an unknown dialect, has a reference that leads nowhere or out of it, or a
    number beyond 64 bits. One that is nested a few hundred levels deep cannot even be written or read by the
    parsers on its way.
    """
    dialect = schema.get("$schema")
    if dialect is not None and not (isinstance(dialect, str) and dialect.removesuffix("#") in _DIALECTS):
        return (
            f"$schema {dialect!r} is no dialect that is known here; "
            f"leave it out, or name one of {', '.join(sorted(_DIALECTS))}"
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


def _find_reference_problem(node: dict[str, Any], schema: dict[str, Any], anchors: frozenset[str]) -> str | None:
    for name in _REFERENCES:
        target = node.get(name)
        if not isinstance(target, str):
            continue
        if not target.startswith("#"):
            return f"{name} {target!r} leads out of the schema; only references that begin with # are followed"
        if target == "#":
            continue
        if not (_resolves(target[2:], schema) if target.startswith("#/") else target in anchors):
            return f"{name} {target!r} leads nowhere; there is no such part of the schema"
    return None


def _list_anchors(schema: dict[str, Any]) -> frozenset[str]:
    """Return the names that a reference may have instead of a pointer, each with its ``#``.

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
    """Return whether a JSON Pointer (RFC 6901, in a URI fragment) leads to something."""
    for part in pointer.split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return False
    return True
