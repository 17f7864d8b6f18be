"""The memory of objects is estimated from a sample."""

from __future__ import annotations

import sys

import pytest

from support.store_objects import BUILDERS, build_job, fill
from tunewright_operator.api.kinds import FINE_TUNE_JOB, Kind
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.sizes import estimate_bytes
from tunewright_operator.store.store import Store


def test_nothing_takes_nothing():
    assert estimate_bytes([]) == 0


def test_what_an_object_refers_to_counts_once():
    text = "a" * 1000
    assert estimate_bytes([[text, text]]) == sys.getsizeof([0, 0]) + sys.getsizeof(text)


@pytest.mark.parametrize("count", [1, 7, 20, 41, 1000])
def test_equal_objects_are_counted_by_their_number(count: int):
    assert estimate_bytes([b"x" * 100 for _ in range(count)]) == count * sys.getsizeof(b"x" * 100)


@pytest.mark.parametrize("kind", STORED_KINDS, ids=str)
def test_an_entry_of_each_kind_takes_a_few_kilobytes(kind: Kind):
    store = fill(Store(), BUILDERS[kind]())
    assert 500 < estimate_bytes(store.entries(kind)) < 20_000


def test_a_job_that_has_ended_takes_less_than_one_that_has_not():
    spec = {**build_job()["spec"], "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://b/" + "x" * 9000}}]}}
    open_store = fill(Store(), build_job("open", spec=spec))
    ended_store = fill(Store(), build_job("ended", "True", spec=spec))
    assert (
        estimate_bytes(ended_store.entries(FINE_TUNE_JOB)) < 6_000 < estimate_bytes(open_store.entries(FINE_TUNE_JOB))
    )
