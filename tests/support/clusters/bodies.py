"""What an API server does with the JSON of objects: addresses, copies, and the merge of an apply."""

from __future__ import annotations

from typing import Any

import orjson

from tunewright_operator.api.kinds import kind_of
from tunewright_operator.cluster import Body

Address = tuple[str, str | None, str]
"""(kind name, namespace, name)."""


def get_field(body: Body, path: str) -> Any:
    value: Any = body
    for key in path.split("."):
        value = value.get(key, {})
    return value


def address_of(body: Body) -> Address:
    kind = kind_of(body)
    return kind.name, body["metadata"].get("namespace") if kind.namespaced else None, body["metadata"]["name"]


def encode(body: Body) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)


def decode(data: bytes) -> Body:
    body: Body = orjson.loads(data)
    return body


def copy_of(body: Body) -> Body:
    """Return the body as the API server reads it from the wire."""
    return decode(encode(body))


def merge(old: Any, new: Any) -> Any:
    """Merge maps by key and replace lists (the real server also merges keyed lists)."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    return new


def prune(old: Any, once_ours: Any, wanted: Any) -> Any:
    """Remove the fields that the field manager applied before and no longer names."""
    if not (isinstance(old, dict) and isinstance(once_ours, dict) and isinstance(wanted, dict)):
        return old
    kept = {}
    for key, value in old.items():
        if key in once_ours and key not in wanted:
            continue
        kept[key] = prune(value, once_ours.get(key, {}), wanted.get(key, {}))
    return kept


def refuse_floats(value: Any, *where: str | int) -> None:
    """Fail on floats, which this project's custom resources do not use."""
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_floats(item, *where, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_floats(item, *where, index)
    else:
        assert value is None or isinstance(value, str | int), f"{where}: {value!r} is no JSON of a custom resource"
