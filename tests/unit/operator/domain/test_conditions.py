"""Conditions according to kstatus and the Kubernetes API conventions."""

from __future__ import annotations

import datetime as dt

from tunewright_operator.api.conditions import Condition
from tunewright_operator.domain.conditions import (
    MAX_CONDITION_MESSAGE,
    Wanted,
    find_transitions,
    merge_conditions,
)

THEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def merged(*wanted: Wanted, old: tuple[Condition, ...] = (), now: dt.datetime = NOW) -> tuple[Condition, ...]:
    return merge_conditions(old, wanted, generation=7, now=now)


def test_the_transition_time_moves_with_the_status_only():
    old = merged(Wanted("Ready", "False", "Inspecting", "a"), now=THEN)
    same = merged(Wanted("Ready", "False", "NoSuchBucket", "b"), old=old)
    assert same[0].last_transition_time == "2026-01-01T00:00:00Z"
    assert same[0].reason == "NoSuchBucket"
    changed = merged(Wanted("Ready", "True", "Inspected"), old=old)
    assert changed[0].last_transition_time == "2026-01-02T00:00:00Z"
    assert changed[0].observed_generation == 7


def test_conditions_that_are_not_given_disappear():
    old = merged(Wanted("Ready", "False", "X"), Wanted("Stalled", "True", "X"))
    assert [condition.type for condition in merged(Wanted("Ready", "True", "Y"), old=old)] == ["Ready"]


def test_a_transition_is_a_change_of_status_or_reason_not_of_the_message():
    old = merged(Wanted("Ready", "False", "A", "one"), Wanted("Stalled", "True", "A"))
    new = merged(
        Wanted("Ready", "False", "A", "two"), Wanted("Stalled", "True", "B"), Wanted("New", "True", "C"), old=old
    )
    transitions = find_transitions(old, new)
    assert [(item.before.reason if item.before else None, item.after.reason) for item in transitions] == [
        ("A", "B"),
        (None, "C"),
    ]


def test_a_message_ends_with_a_period_and_stays_as_it_is_when_it_is_merged_again():
    old = merged(Wanted("Ready", "False", "X", "jobs is forbidden: exceeded quota: small, limited: count/jobs.batch=0"))
    assert old[0].message == "jobs is forbidden: exceeded quota: small, limited: count/jobs.batch=0."
    again = merged(Wanted("Ready", "False", "X", old[0].message), old=old)
    assert again == old
    assert merged(Wanted("Ready", "True", "Y"))[0].message == ""


def test_a_long_message_is_cut_and_stays_as_it_is_when_it_is_merged_again():
    old = merged(Wanted("Ready", "False", "X", "word " * 1000))
    assert len(old[0].message) == MAX_CONDITION_MESSAGE
    assert merged(Wanted("Ready", "False", "X", old[0].message), old=old) == old
