"""Which rows of a batch belong to which adapter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_server.cpu_lora.rows import group_rows


@pytest.mark.parametrize(
    ("slots", "groups"),
    [
        ([], []),
        ([-1, -1], []),
        ([0, 0, 0], [(0, slice(0, 3))]),
        ([-1, 3, 3, -1], [(3, slice(1, 3))]),
        ([1, 0, 1], [(0, slice(1, 2)), (1, [0, 2])]),
        ([2, 2, -1, 2], [(2, [0, 1, 3])]),
    ],
)
def test_rows_are_grouped_by_slot(slots: list[int], groups: list[tuple[int, slice | list[int]]]) -> None:
    assert group_rows(slots) == groups


@given(st.lists(st.integers(-1, 4), max_size=30))
def test_each_row_is_in_the_group_of_its_slot_alone(slots: list[int]) -> None:
    rows = list(range(len(slots)))
    found = {
        row: slot for slot, group in group_rows(slots) for row in (rows[group] if isinstance(group, slice) else group)
    }
    assert found == {row: slot for row, slot in enumerate(slots) if slot >= 0}
