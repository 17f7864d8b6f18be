"""An index follows the values of entries."""

from __future__ import annotations

from tunewright_operator.store.index import Index

A, B = ("ns", "a"), ("ns", "b")


def test_addresses_are_found_by_value():
    index: Index[str] = Index(lambda word: word)
    index.replace(A, None, "xy")
    index.replace(B, None, "yz")
    assert [list(index.find(value)) for value in "xyz"] == [[A], [A, B], [B]]
    index.replace(A, "xy", "xz")
    assert [list(index.find(value)) for value in "xyz"] == [[A], [B], [B, A]]
    index.replace(B, "yz", None)
    assert [list(index.find(value)) for value in "xyz"] == [[A], [], [A]]


def test_a_value_without_entries_takes_no_memory():
    index: Index[str] = Index(lambda word: word)
    index.replace(A, None, "x")
    index.replace(A, "x", None)
    assert index._addresses == {}
