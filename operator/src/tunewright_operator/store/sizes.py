"""Estimate how much memory objects take."""

from __future__ import annotations

import enum
import itertools
import sys
from collections.abc import Collection
from typing import Any

from tunewright_operator.api.kinds import Kind

SAMPLE = 20


def estimate_bytes(objects: Collection[Any], sample: int = SAMPLE) -> int:
    """Return about how many bytes some objects of the same kind take, with all that they refer to.

    Every n-th of them is measured.
    """
    if not objects:
        return 0
    measured = list(itertools.islice(objects, 0, None, max(1, len(objects) // sample)))
    return sum(_measure(item) for item in measured) * len(objects) // len(measured)


def _measure(item: Any) -> int:
    total, seen, left = 0, set[int](), [item]
    while left:
        part = left.pop()
        if id(part) not in seen and part is not None and not isinstance(part, type | enum.Enum | Kind | bool):
            seen.add(id(part))
            total += sys.getsizeof(part)
            left += _list_parts(part)
    return total


def _list_parts(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return [*item]
    if isinstance(item, str | bytes | int | float):
        return []
    return [*(getattr(item, name, None) for name in _slots(type(item))), getattr(item, "__dict__", None)]


def _slots(of: type) -> list[str]:
    return [name for base in of.__mro__ for name in getattr(base, "__slots__", ()) if name != "__weakref__"]
