"""The gate: a standby has no loops, and a leader has one for each resource that exists."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.gate import Gate
from tunewright_operator.runtime.wakeups import Key

FIRST, SECOND, THIRD = (Key(FINE_TUNE_JOB, "ns", name) for name in ("first", "second", "third"))


class Loops:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Key]] = []
        self.running: set[Key] = set()

    def ensure(self, key: Key) -> None:
        self.calls.append(("ensure", key))
        self.running.add(key)

    def is_running(self, key: Key) -> bool:
        return key in self.running

    def stop(self, key: Key) -> None:
        self.calls.append(("stop", key))
        self.running.discard(key)


def test_a_new_leader_reconciles_every_resource_that_exists_once():
    gate, loops = Gate(), Loops()
    for key in (FIRST, SECOND, FIRST):
        gate.ensure(key)
    gate.stop(SECOND)
    gate.ensure(THIRD)
    with gate.open(loops):
        assert loops.calls == [("ensure", FIRST), ("ensure", THIRD)]


def test_a_leader_passes_events_on_at_once():
    gate, loops = Gate(), Loops()
    with gate.open(loops):
        gate.ensure(FIRST)
        gate.ensure(FIRST)
        gate.stop(FIRST)
    assert loops.calls == [("ensure", FIRST), ("ensure", FIRST), ("stop", FIRST)]


def test_only_a_leader_can_miss_a_loop():
    gate, loops = Gate(), Loops()
    gate.ensure(FIRST)
    assert gate.is_running(FIRST), "else every event would count as a change"
    with gate.open(loops):
        assert gate.is_running(FIRST)
        loops.running.clear()
        assert not gate.is_running(FIRST)
    assert gate.is_running(FIRST)


@pytest.mark.parametrize("event", ["ensure", "stop"])
def test_no_loop_starts_or_ends_when_the_work_is_ending(event: str):
    gate, loops = Gate(), Loops()
    with gate.open(loops):
        pass
    getattr(gate, event)(FIRST)
    assert loops.calls == []
