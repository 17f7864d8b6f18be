"""How many requests of evaluations a pod admits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.pool_load import limit_evaluations

COUNTS = st.integers(0, 2000)


@pytest.mark.parametrize(
    ("capacity", "live", "waiting", "share", "limit"),
    [
        (256, 0, 0, 50, 128),
        (256, 200, 0, 50, 28),
        (256, 0, 0, 100, 256),
        (256, 0, 0, 1, 2),
        (4, 0, 0, 50, 2),
        (256, 0, 1, 50, 1),
        (256, 256, 0, 50, 1),
        (256, 300, 0, 50, 1),
        (1, 0, 0, 50, 1),
    ],
)
def test_the_share_is_that_of_the_places_that_clients_leave_free(
    capacity: int, live: int, waiting: int, share: int, limit: int
) -> None:
    assert limit_evaluations(capacity, live, waiting, share) == limit


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 100))
def test_one_more_client_never_gives_evaluations_more(capacity: int, live: int, waiting: int, share: int) -> None:
    limit = limit_evaluations(capacity, live, waiting, share)
    assert limit >= limit_evaluations(capacity, live + 1, waiting, share) >= 1
    assert limit <= max(1, (capacity - live) * share / 100)
