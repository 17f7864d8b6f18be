"""Which rows of a batch belong to which adapter."""

from __future__ import annotations

from collections.abc import Sequence


def group_rows(slots: Sequence[int]) -> list[tuple[int, slice | list[int]]]:
    """Return the rows of each adapter slot, in the order of the slots.

    Args:
        slots: the slot of each row's adapter, -1 for a row without one; one entry for each row of the batch.

    Returns:
        Pairs of a slot and its rows: a slice if they follow one another, so that indexing makes no copy, otherwise a
        list. Rows without an adapter are in no pair.
    """
    found: dict[int, list[int]] = {}
    for row, slot in enumerate(slots):
        if slot >= 0:
            found.setdefault(slot, []).append(row)
    return [(slot, _as_slice(found[slot])) for slot in sorted(found)]


def _as_slice(rows: list[int]) -> slice | list[int]:
    first, last = rows[0], rows[-1]
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows
