"""Hostile documents: a valid one in which a writer that is not trusted changed some parts.

Fuzz tests change the sample of each kind of document, so that most changes get past the first check of its reader.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from support.examples import spread

_PLACES = 12
"""How many items of a list are changed."""
_RAW = "raw:"
"""Marks text that is written as it is: numbers that Python's encoder does not write."""
_MARKED = re.compile(rf'"{_RAW}(?:[^"\\]|\\.)*"')
VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 0.5, 2**31, 2**40 + 1, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30, 1e308),
    *(f"{_RAW}{text}" for text in ("NaN", "Infinity", "-Infinity", "1e999", "-0", "9" * 4000, "9" * 5000)),
    *(f"{_RAW}{'[' * depth}{']' * depth}" for depth in (100, 300, 5000)),
    *("", " ", "x" * 65, "x" * 254, "x" * 5000, "\u65e5" * 2000, "0", "1", "true", "sha256:", "sha256:" + "f" * 63),
    *("\x00", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\nb", "a\rb", "\ufeff", "\U0001f4a5", f'{_RAW}"\\ud800"'),
    *("../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "-", "s3://bucket", "s3://bucket/../other", "s3://b/k"),
    *("s3://bucket/" + "k" * 1013, "s3://bucket/a\u202eb", "https://example.com/", "{{7*7}}", "%s%n", "$(id)"),
    *([], {}, [[]], [{}], {"": {}}, ["x"] * 5000, [2**64] * 70, {"x" * 300: 1}, {"a\u202eb": "x"}),
    dict.fromkeys(map(str, range(5000)), 1),
]
"""What a part of a document is replaced by."""


def list_single_changes(sample: Any, number: int) -> Iterator[bytes]:
    """Yield documents in which one part of a valid one is replaced: each part by each of `VALUES`.

    `make check` yields only the number of them, `make test-full` up to ten times as many.
    """
    changes = [(path, value) for path in _list_paths(sample, 2) if path for value in VALUES]
    return (_encode(_replaced(sample, path, value)) for path, value in spread(changes, number))


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = _replaced(document[path[0]], path[1:], value)
    return changed


@st.composite
def documents(draw: st.DrawFn, sample: Any) -> bytes:
    """Generate the bytes of a changed document.

    Args:
        draw: by hypothesis.
        sample: the decoded JSON of a valid document.
    """
    changed = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        changed = _change(draw, changed)
    data = _encode(changed)
    kind = draw(st.sampled_from(["whole"] * 7 + ["cut", "byte", "twice"]))
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "byte" and data:
        place = draw(st.integers(0, len(data) - 1))
        return data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
    if kind == "twice" and data.startswith(b"{") and len(data) > 2:
        return data[:-1] + b"," + data[1:]
    return data


def _change(draw: st.DrawFn, document: Any) -> Any:
    paths = list(_list_paths(document))
    path = draw(st.sampled_from(paths))
    if not path:
        return draw(st.sampled_from(VALUES)) if len(paths) == 1 or draw(st.integers(0, 9)) == 0 else document
    *to_parent, last = path
    parent = document
    for part in to_parent:
        parent = parent[part]
    action = draw(st.sampled_from(["replace"] * 6 + ["delete", "repeat", "rename"]))
    if action == "delete":
        del parent[last]
    elif action == "repeat" and isinstance(parent, list):
        parent.extend([parent[last]] * draw(st.sampled_from([1, 100, 5000])))
    elif action == "rename" and isinstance(parent, dict):
        name = draw(st.sampled_from([item for item in VALUES if isinstance(item, str)]))
        parent[name] = parent.pop(last)
    else:
        parent[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return document


def _list_paths(value: Any, places: int = _PLACES) -> Iterator[tuple[Any, ...]]:
    yield ()
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in items if isinstance(value, dict) else items[:places]:
        yield from ((key, *path) for path in _list_paths(item, places))


def _encode(value: Any) -> bytes:
    """Return JSON, in which marked text is not quoted."""
    text = json.dumps(value)
    return _MARKED.sub(lambda found: json.loads(found.group()).removeprefix(_RAW), text).encode()


def list_unsafe(value: Any, where: str = "") -> Iterator[str]:
    """Yield what in a decoded document no status may have: large numbers, long or deceptive texts, long lists."""
    if isinstance(value, dict):
        if len(value) > 4096:
            yield f"{where}: {len(value)} keys"
        for key, item in value.items():
            yield from list_unsafe(key, f"{where}.<key>")
            yield from list_unsafe(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        if len(value) > 4096:
            yield f"{where}: {len(value)} items"
        for item in value:
            yield from list_unsafe(item, f"{where}[]")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield f"{where}: a number of {value.bit_length()} bits"
    elif isinstance(value, str):
        if len(value) > 4096:
            yield f"{where}: {len(value)} characters"
        yield from _list_deceptive(value, where)


def _list_deceptive(text: str, where: str) -> Iterator[str]:
    found = {character for character in text if character not in "\n\t" and _is_control(character)}
    if found:
        yield f"{where}: has {sorted(found)!r}"


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or code in {*range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF}
