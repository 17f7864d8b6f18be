"""Whose turn it is among the keys that are ready."""

from __future__ import annotations

from collections import Counter

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.turns import Turns


def key(name: str, namespace: str = "ns") -> Key:
    return Key(FINE_TUNE_JOB, namespace, name)


def fill(turns: Turns, urgency: Urgency, count: int, namespace: str = "ns") -> None:
    for number in range(count):
        turns.add(key(f"{urgency.label}-{number}", namespace), urgency, since=0)


def pop(turns: Turns) -> Key:
    ready = turns.pop()
    assert ready is not None
    return ready.key


def test_keys_of_one_namespace_and_urgency_keep_their_order():
    turns = Turns()
    for name in "cab":
        turns.add(key(name), Urgency.CHILD, since=0)
    assert [pop(turns).name for _ in range(3)] == ["c", "a", "b"]
    assert turns.pop() is None


def test_a_key_waits_once_with_its_highest_urgency():
    turns = Turns()
    for urgency, since in [(Urgency.LISTING, 1), (Urgency.USER, 2), (Urgency.LISTING, 3), (Urgency.CHILD, 4)]:
        turns.add(key("a"), urgency, since)
    assert (len(turns), turns.depth(Urgency.LISTING), turns.depth(Urgency.USER)) == (1, 0, 1)
    ready = turns.pop()
    assert ready is not None
    assert (ready.urgency, ready.since) == (Urgency.USER, 2)
    assert (len(turns), turns.depth(Urgency.USER)) == (0, 0)


def test_namespaces_take_turns():
    turns = Turns()
    fill(turns, Urgency.CHILD, 1000, "big")
    for name in ("a", "b"):
        turns.add(key(name, "small"), Urgency.CHILD, since=0)
    turns.add(key("c", "other"), Urgency.CHILD, since=0)
    assert [pop(turns).namespace for _ in range(6)] == ["big", "small", "other", "big", "small", "big"]


@pytest.mark.parametrize("backlog", list(Urgency))
def test_an_urgent_key_is_next_whatever_waits_since_when(backlog: Urgency):
    turns = Turns()
    fill(turns, backlog, 1000, "big")
    for _ in range(100):
        pop(turns)
    turns.add(key("urgent", "small"), Urgency.USER, since=1_000_000)
    assert key("urgent", "small") in {pop(turns) for _ in range(2)}


def test_urgencies_share_the_turns_by_weight():
    turns = Turns()
    for urgency in Urgency:
        fill(turns, urgency, 1000)
    counts = Counter(pop(turns).name.split("-")[0] for _ in range(31 * 10))
    assert [counts[urgency.label] for urgency in Urgency] == [160, 80, 40, 20, 10]


def test_an_urgency_without_keys_leaves_its_turns_to_the_others_and_collects_none():
    turns = Turns()
    fill(turns, Urgency.LISTING, 200)
    for _ in range(100):
        pop(turns)
    fill(turns, Urgency.USER, 200)
    counts = Counter(pop(turns).name.split("-")[0] for _ in range(17))
    assert counts["listing"] in {1, 2}


def test_a_removed_key_has_no_turn_and_costs_its_urgency_none():
    turns = Turns()
    fill(turns, Urgency.USER, 40, "busy")
    for number in range(100):
        turns.add(key("a"), Urgency.LISTING, since=number)
        turns.remove(key("a"))
    turns.remove(key("unknown"))
    turns.add(key("a"), Urgency.LISTING, since=0)
    assert key("a") in {pop(turns) for _ in range(17)}
    assert key("a") not in turns
    assert len(turns) == 24


def test_the_oldest_key_of_an_urgency_is_found():
    turns = Turns()
    assert turns.oldest(Urgency.CHILD) is None
    turns.add(key("a", "one"), Urgency.CHILD, since=5)
    turns.add(key("b", "one"), Urgency.CHILD, since=6)
    turns.add(key("c", "two"), Urgency.CHILD, since=7)
    assert turns.oldest(Urgency.CHILD) == 5
    turns.remove(key("a", "one"))
    assert turns.oldest(Urgency.CHILD) == 6
    assert turns.oldest(Urgency.USER) is None
