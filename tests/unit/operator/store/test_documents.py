"""Every object that the API server accepts becomes a document."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest

from tunewright_operator.store.documents import decode, encode


@pytest.fixture
def _deep_recursion():
    """Allow as much recursion as the program does."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(40_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("_deep_recursion")
@pytest.mark.parametrize("depth", [1, 253, 255, 1000, 1025, 3000])
def test_an_object_of_any_depth_is_read_back(depth: int):
    body: dict[str, Any] = {"é": [1, None, True, "x"]}
    for _ in range(depth):
        body = {"a": body}
    assert encode(decode(encode(body))) == encode(body)


def test_a_document_takes_no_more_memory_than_its_text():
    """The results of `orjson.dumps` take about 4 KiB each, however short they are."""
    body = {"a": "x" * 400}
    tracemalloc.start()
    try:
        documents = [encode(body) for _ in range(1000)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 1.5 * sum(map(len, documents))
