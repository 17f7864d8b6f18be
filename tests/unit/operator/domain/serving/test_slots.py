"""Which adapters get a slot, and which aliases are served."""

from __future__ import annotations

import itertools

import pytest

from tunewright_operator.domain.serving.slots import SlotRequest, Standing, admit_aliases, grant_slots


def test_slots_go_to_routed_draining_candidate_new_in_that_order():
    requests = [SlotRequest(standing.name, standing) for standing in reversed(Standing)]
    assert grant_slots(requests, 3) == {"ROUTED", "DRAINING", "LOADED_CANDIDATE"}
    assert grant_slots(requests, 0) == {"ROUTED", "DRAINING"}, "adapters that servers use are not evicted"


def test_an_adapter_that_is_requested_twice_takes_one_slot() -> None:
    requests = [SlotRequest("a", Standing.ROUTED), SlotRequest("a", Standing.NEW), SlotRequest("b", Standing.NEW)]
    assert grant_slots(requests, 2) == {"a", "b"}


@pytest.mark.parametrize(
    ("first", "second"), itertools.pairwise([Standing.LOADED_CANDIDATE, Standing.CANDIDATE, Standing.NEW])
)
def test_a_loaded_candidate_comes_before_a_new_one_and_that_before_a_new_alias(
    first: Standing, second: Standing
) -> None:
    assert grant_slots([SlotRequest("a", second), SlotRequest("b", first)], 1) == {"b"}


def test_equal_standings_are_served_in_order() -> None:
    requests = [SlotRequest(name, Standing.CANDIDATE, order) for name, order in (("a", ("2",)), ("b", ("1",)))]
    assert grant_slots(requests, 1) == {"b"}
    assert grant_slots(requests, 2) == {"a", "b"}


@pytest.mark.parametrize(
    ("known", "new", "served"),
    [
        ([], ["a", "b", "c"], {"a", "b"}),
        (["x"], ["a", "b"], {"x", "a"}),
        (["x", "y"], ["a"], {"x", "y"}),
        (["x", "y", "z"], ["a"], {"x", "y", "z"}),
    ],
    ids=["all are new", "one is known", "no room is left", "the limit was lowered"],
)
def test_known_aliases_are_served_before_new_ones(known: list[str], new: list[str], served: set[str]) -> None:
    assert admit_aliases(known, new, max_adapters=2) == served
