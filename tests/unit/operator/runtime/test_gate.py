"""The gate: a standby reconciles nothing, and a new leader reconciles each resource that exists."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.gate import Gate
from tunewright_operator.runtime.key import Key, Urgency

FIRST, SECOND, THIRD = (Key(FINE_TUNE_JOB, "ns", name) for name in ("first", "second", "third"))


class Reconciliations:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Key]] = []
        self.abandoned: set[Key] = set()

    def wake(self, key: Key, urgency: Urgency) -> None:
        self.calls.append((urgency.label, key))

    def forget(self, key: Key) -> None:
        self.calls.append(("forget", key))

    def is_abandoned(self, key: Key) -> bool:
        return key in self.abandoned


def test_a_new_leader_reconciles_every_resource_that_exists_once():
    gate, reconciliations = Gate(), Reconciliations()
    for key in (FIRST, SECOND, FIRST):
        gate.wake(key, Urgency.USER)
    gate.forget(SECOND)
    gate.wake(THIRD, Urgency.LISTING)
    with gate.open(reconciliations):
        assert reconciliations.calls == [("listing", FIRST), ("listing", THIRD)]


def test_a_leader_passes_events_on_at_once():
    gate, reconciliations = Gate(), Reconciliations()
    with gate.open(reconciliations):
        gate.wake(FIRST, Urgency.USER)
        gate.wake(FIRST, Urgency.CHILD)
        gate.forget(FIRST)
    assert reconciliations.calls == [("user", FIRST), ("child", FIRST), ("forget", FIRST)]


def test_a_pods_answer_wakes_no_resource_that_was_deleted():
    gate, reconciliations = Gate(), Reconciliations()
    gate.wake(FIRST, Urgency.USER)
    gate.wake_known(FIRST, Urgency.CHILD)
    with gate.open(reconciliations):
        gate.wake_known(FIRST, Urgency.CHILD)
        gate.wake_known(SECOND, Urgency.CHILD)
        gate.forget(FIRST)
        gate.wake_known(FIRST, Urgency.CHILD)
    assert reconciliations.calls == [("listing", FIRST), ("child", FIRST), ("forget", FIRST)]


def test_only_a_leader_abandons_a_resource():
    gate, reconciliations = Gate(), Reconciliations()
    reconciliations.abandoned.add(FIRST)
    gate.wake(FIRST, Urgency.USER)
    assert not gate.is_abandoned(FIRST), "else every event would count as a change"
    with gate.open(reconciliations):
        assert gate.is_abandoned(FIRST)
        assert not gate.is_abandoned(SECOND)
    assert not gate.is_abandoned(FIRST)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_nothing_is_reconciled_or_forgotten_when_the_work_is_ending(is_deleted: bool):
    gate, reconciliations = Gate(), Reconciliations()
    with gate.open(reconciliations):
        pass
    if is_deleted:
        gate.forget(FIRST)
    else:
        gate.wake(FIRST, Urgency.USER)
    assert reconciliations.calls == []
