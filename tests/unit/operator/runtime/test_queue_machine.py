"""The work queue under random sequences of calls.

It checks that no key is lost and none is worked on without a reason, that none is worked on twice at the same time,
that no urgency waits longer than its weight allows, and that no namespace waits longer than one turn of the others.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.examples import examples
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.queue import Work, WorkQueue
from tunewright_operator.runtime.turns import STRIDES

NAMESPACES = ("one", "two", "three", None)
KEYS = [Key(FINE_TUNE_JOB, namespace, name) for namespace in NAMESPACES for name in "abc"]
FAR_FUTURE = 1_000_000.0

keys = st.sampled_from(KEYS)
urgencies = st.sampled_from(Urgency)
waits = st.sampled_from([0.0, 0.05, 0.1, 0.3, 5.0, 600.0])


def most_turns_of_others(urgency: Urgency) -> int:
    """Return how many turns others can have before the next turn of an urgency that has keys."""
    return sum(STRIDES[urgency] // STRIDES[other] + 1 for other in Urgency if other is not urgency)


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue = WorkQueue(lambda: self.now)
        self.owed: set[Key] = set()
        """Keys that must be worked on from now on."""
        self.works: dict[Key, Work] = {}
        self.turns_of_others: dict[Urgency, int] = defaultdict(int)
        self.served_while_waiting: dict[tuple[Urgency, str | None], set[str | None]] = defaultdict(set)

    def waiting(self) -> set[tuple[Urgency, str | None]]:
        return {(urgency, namespace) for urgency in Urgency for namespace in self.queue._turns._rings[urgency]}

    @rule(key=keys, urgency=urgencies)
    def wake(self, key: Key, urgency: Urgency) -> None:
        self.queue.wake(key, urgency)
        self.owed.add(key)

    @rule(urgency=urgencies)
    def wake_all(self, urgency: Urgency) -> None:
        for key in KEYS:
            self.wake(key, urgency)

    @rule(key=keys, seconds=waits, urgency=urgencies)
    def wake_later(self, key: Key, seconds: float, urgency: Urgency) -> None:
        self.queue.after(key, seconds, urgency)
        self.owed.add(key)

    @rule(key=keys)
    def forget(self, key: Key) -> None:
        self.queue.forget(key)
        self.owed.discard(key)

    @rule(seconds=waits)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        depths = {urgency: self.queue.depth(urgency) for urgency in Urgency}
        waiting = self.waiting()
        work = self.queue.take()
        assert (work is None) == (not any(depths.values()))
        if work is None:
            return
        assert work.key not in self.works, "a key is worked on twice at the same time"
        assert work.key in self.owed, "a key is worked on without a reason"
        self.owed.discard(work.key)
        self.works[work.key] = work
        self.check_turn(work, depths, waiting)

    def check_turn(self, work: Work, depths: dict[Urgency, int], waiting: set[tuple[Urgency, str | None]]) -> None:
        self.turns_of_others[work.urgency] = 0
        for urgency in Urgency:
            if urgency is not work.urgency and depths[urgency]:
                self.turns_of_others[urgency] += 1
                assert self.turns_of_others[urgency] <= most_turns_of_others(urgency)
        self.served_while_waiting.pop((work.urgency, work.key.namespace), None)
        for urgency, namespace in waiting:
            if urgency is work.urgency and namespace != work.key.namespace:
                served = self.served_while_waiting[urgency, namespace]
                assert work.key.namespace not in served, f"{namespace} waits for a second key of {work.key.namespace}"
                served.add(work.key.namespace)

    @rule(count=st.integers(2, 40))
    def take_and_finish_some(self, count: int) -> None:
        """Let workers that are fast do much, so that examples reach the limits of turns."""
        for _ in range(count):
            self.take()
            self.forget_waits_that_ended()
            for work in list(self.works.values()):
                self.end(work, None, Urgency.TIMER)

    @precondition(lambda self: self.works)
    @rule(index=st.integers(0, 99), seconds=st.none() | waits, urgency=urgencies)
    def finish(self, index: int, seconds: float | None, urgency: Urgency) -> None:
        works = list(self.works.values())
        self.end(works[index % len(works)], seconds, urgency)

    def end(self, work: Work, seconds: float | None, urgency: Urgency) -> None:
        del self.works[work.key]
        if seconds is not None and not work.forgotten:
            self.owed.add(work.key)
        self.queue.done(work, seconds, urgency)

    @invariant()
    def forget_waits_that_ended(self) -> None:
        for urgency in Urgency:
            if not self.queue.depth(urgency):
                self.turns_of_others[urgency] = 0
        for ended in self.served_while_waiting.keys() - self.waiting():
            del self.served_while_waiting[ended]

    @invariant()
    def a_key_is_at_one_place(self) -> None:
        depth = sum(self.queue.depth(urgency) for urgency in Urgency)
        ready = set(self.queue._turns._places)
        assert depth == len(ready)
        assert not ready & self.works.keys()
        listed = [keys for ring in self.queue._turns._rings for keys in ring.values()]
        assert all(listed), "a namespace without keys has a turn"
        assert sorted(map(str, itertools.chain(*listed))) == sorted(map(str, ready))

    def teardown(self) -> None:
        for work in list(self.works.values()):
            self.end(work, None, Urgency.TIMER)
        self.now += FAR_FUTURE
        while self.queue.next_due() is not None or any(self.queue.depth(urgency) for urgency in Urgency):
            self.take()
            self.now += FAR_FUTURE
            for work in list(self.works.values()):
                self.end(work, None, Urgency.TIMER)
        assert not self.owed, "a key was lost"


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=examples(60), stateful_step_count=50)
