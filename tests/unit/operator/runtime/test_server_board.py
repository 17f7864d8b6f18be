"""The newest observation of each server, until it is too old."""

from __future__ import annotations

import datetime as dt

import pytest

from support.worlds.server_observations import PLAN
from tunewright_operator.runtime.server_board import MAX_AGE_SECONDS, ServerBoard, ServerSnapshot

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def snapshot(age: float) -> ServerSnapshot:
    return ServerSnapshot(NOW - dt.timedelta(seconds=age), PLAN, (), {})


def test_the_newest_snapshot_of_a_server_is_read() -> None:
    board, newest = ServerBoard(), snapshot(1)
    board.publish("a", snapshot(2))
    board.publish("a", newest)
    board.publish("b", snapshot(0))
    assert board.read("a", NOW) is newest
    assert board.read("c", NOW) is None


@pytest.mark.parametrize(("age", "known"), [(MAX_AGE_SECONDS, True), (MAX_AGE_SECONDS + 0.1, False)])
def test_an_old_snapshot_is_not_read(age: float, known: bool) -> None:
    board = ServerBoard()
    board.publish("a", snapshot(age))
    assert (board.read("a", NOW) is not None) is known


def test_a_deleted_server_is_forgotten() -> None:
    board = ServerBoard()
    board.publish("a", snapshot(0))
    board.publish("b", snapshot(0))
    board.forget("a")
    board.forget("c")
    assert board.read("a", NOW) is None
    assert board.read("b", NOW) is not None
