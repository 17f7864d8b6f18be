"""How long a key waits behind a backlog: by class minus age, and by turns (docs/adr/0012-turns-instead-of-ageing.md).

``python bench/order_of_work.py`` prints the ADR's table. Time is simulated, so the result is always the same.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.turns import Turns

BACKLOG = 10_000
WORK_SECONDS = 0.01
LATE_SECONDS = 60.0
AGE_SECONDS = 5.0
LATE = Key(FINE_TUNE_JOB, "another", "late")


class Order(Protocol):
    """An order of work."""

    def add(self, key: Key, urgency: Urgency, since: float) -> None:
        """Add a key."""

    def next(self) -> Key:
        """Remove and return the next key."""


class ByTurns:
    """The operator's order."""

    def __init__(self) -> None:
        self._turns = Turns()

    def add(self, key: Key, urgency: Urgency, since: float) -> None:
        """See `Order.add`."""
        self._turns.add(key, urgency, since)

    def next(self) -> Key:
        """See `Order.next`."""
        ready = self._turns.pop()
        assert ready is not None
        return ready.key


class ByAge:
    """The class whose oldest key has the lowest class minus age; inside a class, namespaces take turns."""

    def __init__(self) -> None:
        self._rings = {urgency: OrderedDict[str | None, list[tuple[float, Key]]]() for urgency in Urgency}

    def add(self, key: Key, urgency: Urgency, since: float) -> None:
        """See `Order.add`."""
        self._rings[urgency].setdefault(key.namespace, []).append((since, key))

    def next(self) -> Key:
        """See `Order.next`."""
        # The order of class minus age is that of class plus the time of waking.
        scores = {
            urgency: urgency + min(keys[0][0] for keys in ring.values()) / AGE_SECONDS
            for urgency, ring in self._rings.items()
            if ring
        }
        ring = self._rings[min(scores, key=scores.__getitem__)]
        namespace, keys = next(iter(ring.items()))
        _, key = keys.pop(0)
        if keys:
            ring.move_to_end(namespace)
        else:
            del ring[namespace]
        return key


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the table."""

    backlog: Urgency
    namespaces: int
    late: Urgency


CASES = (
    Case(Urgency.LISTING, 100, Urgency.USER),
    Case(Urgency.USER, 1, Urgency.USER),
    Case(Urgency.USER, 1, Urgency.CHILD),
)


def measure_wait(case: Case, build: Callable[[], Order]) -> float:
    """Return how many seconds the late key waits."""
    order, steps, woken = build(), 0, 0
    for number in range(BACKLOG):
        order.add(Key(FINE_TUNE_JOB, f"team-{number % case.namespaces}", str(number)), case.backlog, 0.0)
    while True:
        if not woken and steps * WORK_SECONDS >= LATE_SECONDS:
            order.add(LATE, case.late, steps * WORK_SECONDS)
            woken = steps
        if order.next() == LATE:
            return (steps - woken) * WORK_SECONDS
        steps += 1


def main() -> None:
    """Print the table."""
    print(f"| backlog of {BACKLOG:,} keys | other key | wait with ageing | wait with turns |")
    print("| --- | --- | --- | --- |")
    for case in CASES:
        ageing, turns = (measure_wait(case, build) for build in (ByAge, ByTurns))
        names = "one namespace" if case.namespaces == 1 else f"{case.namespaces} namespaces"
        print(f"| {case.backlog.name}, of {names} | {case.late.name} | {ageing:g} s | {turns:g} s |")


if __name__ == "__main__":
    main()
