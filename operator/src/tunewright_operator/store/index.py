"""An index of the store: the objects that have a value, found without visiting the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Generic, TypeVar

from tunewright_operator.store.entries import Address

E = TypeVar("E")


class Index(Generic[E]):
    """The addresses of entries by the values that a function finds in an entry."""

    def __init__(self, values_of: Callable[[E], Iterable[Hashable]]) -> None:
        self._values_of = values_of
        self._addresses: dict[Hashable, dict[Address, None]] = {}

    def replace(self, address: Address, old: E | None, new: E | None) -> None:
        """Follow a change of an entry; None: there was none, or there is none any more."""
        before = tuple(self._values_of(old)) if old is not None else ()
        after = tuple(self._values_of(new)) if new is not None else ()
        if before == after:
            return
        for value in {*before} - {*after}:
            addresses = self._addresses[value]
            del addresses[address]
            if not addresses:
                del self._addresses[value]
        for value in {*after} - {*before}:
            self._addresses.setdefault(value, {})[address] = None

    def find(self, value: Hashable) -> Collection[Address]:
        """Return the addresses of the entries with a value, in the order in which they got it."""
        return self._addresses.get(value, {}).keys()
