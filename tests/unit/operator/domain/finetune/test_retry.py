"""Pauses and micro-batches after a failure."""

from __future__ import annotations

import pytest

from tunewright_operator.domain.finetune.retry import pause_before_restart, reduce_micro_batch


def test_pauses_double_up_to_five_minutes():
    assert [pause_before_restart(number).total_seconds() for number in range(6)] == [20, 40, 80, 160, 300, 300]
    assert pause_before_restart(10_000).total_seconds() == 300


def test_three_restarts_outlast_two_minutes_without_storage():
    assert sum(pause_before_restart(number).total_seconds() for number in range(3)) > 120


@pytest.mark.parametrize(
    ("current", "batch", "smaller"), [(None, 8, 4), (4, 8, 2), (2, 8, 1), (1, 8, None), (None, 1, None), (3, 6, 1)]
)
def test_the_micro_batch_halves_until_one(current: int | None, batch: int, smaller: int | None):
    assert reduce_micro_batch(current, batch) == smaller
