"""Objects as compact JSON.

The API server accepts JSON of 10,000 levels, which a user can put into a schema. orjson is fast, but it writes at most
254 levels and reads 1,024; the standard library takes over for the rest.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def encode(body: dict[str, Any]) -> bytes:
    """Return an object as JSON."""
    try:
        # orjson's result keeps a buffer of some kilobytes, which a copy does not.
        return bytes(memoryview(orjson.dumps(body)))
    except orjson.JSONEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


def decode(document: bytes) -> Any:
    """Return the object of a document."""
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return json.loads(document)
