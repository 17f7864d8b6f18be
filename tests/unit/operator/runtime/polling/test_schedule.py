"""Which pod is polled when: intervals, back-off, limits, and turns between groups."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.examples import examples
from tunewright_operator.runtime.polling.schedule import MAX_BACKOFF_SECONDS, PollSchedule, backoff_seconds


def names(taken: Iterable[tuple[Hashable, float]]) -> list[Hashable]:
    return [target for target, _ in taken]


def poll(schedule: PollSchedule, now: float, *, answered: bool = True) -> list[Hashable]:
    """Poll what is due, and let each poll end at once."""
    taken = names(schedule.take(now))
    for target in taken:
        schedule.finish(target, now, answered=answered)
    return taken


def poll_until(schedule: PollSchedule, end: float, *, answered: bool = True) -> list[float]:
    """Return the times of all polls until a time."""
    times: list[float] = []
    while (due := schedule.next_due()) is not None and due <= end:
        times += [due] * len(poll(schedule, due, answered=answered))
    return times


@pytest.mark.parametrize(
    ("failures", "has_answered", "seconds"),
    [
        (1, True, 2),
        (2, True, 4),
        (3, True, 8),
        (4, True, 16),
        (5, True, 30),
        (99, True, 30),
        (2, False, 4),
        (9, False, 5),
    ],
)
def test_the_back_off(failures: int, has_answered: bool, seconds: float) -> None:
    assert backoff_seconds(failures, has_answered=has_answered) == seconds


def test_a_new_target_is_polled_at_once_and_then_at_its_interval() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    assert poll_until(schedule, 130) == [100, 110, 120, 130]


def test_a_slow_answer_does_not_shift_the_times() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    assert names(schedule.take(100)) == ["a"]
    assert schedule.next_due() is None, "it is polled once at the same time"
    schedule.finish("a", 101.9, answered=True)
    assert schedule.next_due() == 110


def test_the_pods_of_a_server_are_polled_at_the_same_times() -> None:
    """So their evidence arrives together, and a rollout is reconciled once for all of them."""
    schedule = PollSchedule()
    schedule.follow("a", "server", 2, now=100)
    poll(schedule, 100)
    schedule.follow("b", "server", 2, now=101.5)
    poll(schedule, 101.5)
    assert names(schedule.take(102)) == ["a"]
    assert names(schedule.take(104)) == ["b"], "not half a second after its first poll"
    schedule.finish("a", 104, answered=True)
    schedule.finish("b", 104, answered=True)
    assert sorted(map(str, names(schedule.take(106)))) == ["a", "b"]


def test_a_shorter_interval_applies_at_once() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    poll(schedule, 100)
    schedule.follow("a", "server", 2, now=103)
    assert poll_until(schedule, 108) == [104, 106, 108]
    schedule.follow("a", "server", 10, now=108)
    assert poll_until(schedule, 130) == [110, 120, 130]


def test_a_target_without_answer_is_polled_ever_more_rarely() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 2, now=100)
    poll(schedule, 100)
    assert poll_until(schedule, 260, answered=False) == [102, 104, 108, 116, 132, 162, 192, 222, 252]
    assert schedule.next_due() == 282


def test_an_answer_ends_the_back_off() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    poll(schedule, 100)
    poll_until(schedule, 140, answered=False)
    assert schedule.next_due() == 170
    poll(schedule, 170)
    assert schedule.next_due() == 180


def test_a_pod_that_has_never_answered_probably_starts() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    assert poll_until(schedule, 120, answered=False) == [100, 102, 106, 111, 116]


def test_a_hurried_target_is_polled_at_once_and_its_back_off_begins_again() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    poll(schedule, 100)
    poll_until(schedule, 140, answered=False)
    schedule.hurry("a", 141)
    assert poll(schedule, 141, answered=False) == ["a"]
    assert schedule.next_due() == 143
    schedule.hurry("unknown", 141)


def test_a_target_that_is_hurried_during_a_poll_is_polled_again() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    assert names(schedule.take(100)) == ["a"]
    schedule.hurry("a", 101)
    assert names(schedule.take(101)) == []
    schedule.finish("a", 102, answered=True)
    assert names(schedule.take(102)) == ["a"]


def test_an_additional_poll_replaces_the_next_one() -> None:
    schedule = PollSchedule()
    schedule.follow("a", "server", 10, now=100)
    poll(schedule, 100)
    schedule.finish("a", 108, answered=True)
    assert schedule.next_due() == 120, "the next time that is at least half an interval away"


def test_no_more_than_the_limit_is_polled_at_the_same_time_and_groups_take_turns() -> None:
    schedule = PollSchedule(limit=4)
    for number in range(100):
        schedule.follow(f"large-{number}", "large", 10, now=0)
    for number in range(3):
        schedule.follow(f"small-{number}", "small", 10, now=0)
    order: list[Hashable] = names(schedule.take(0))
    assert len(order) == 4
    for _ in range(4):
        schedule.finish(order[-1], 0.1, answered=True)
        order += names(schedule.take(0.1))
    groups = [str(target).split("-")[0] for target in order]
    assert groups[:7] == ["large", "small"] * 3 + ["large"]


def test_pods_that_do_not_answer_leave_room_for_the_others() -> None:
    schedule = PollSchedule(limit=8, failing_limit=3)
    for number in range(20):
        schedule.follow(f"dead-{number}", "dead", 2, now=0)
    while taken := schedule.take(0):
        for target, _ in taken:
            schedule.finish(target, 0, answered=False)
    assert len(schedule.take(2)) == 3
    schedule.follow("good", "good", 2, now=2)
    assert names(schedule.take(2)) == ["good"]


def test_the_delay_of_a_poll_is_the_time_since_it_was_due() -> None:
    schedule = PollSchedule(limit=1)
    schedule.follow("a", "x", 10, now=0)
    schedule.follow("b", "y", 10, now=0)
    assert schedule.take(0.5) == [("a", 0.5)]
    schedule.finish("a", 2, answered=True)
    assert schedule.take(2) == [("b", 2)]


def test_a_forgotten_target_is_not_polled_and_frees_its_place() -> None:
    schedule = PollSchedule(limit=1)
    schedule.follow("a", "x", 10, now=0)
    schedule.follow("b", "y", 10, now=0)
    schedule.follow("c", "z", 10, now=0)
    assert names(schedule.take(0)) == ["a"]
    schedule.forget("a")
    schedule.forget("b")
    schedule.forget("unknown")
    assert names(schedule.take(0)) == ["c"]
    schedule.finish("a", 1, answered=True)
    assert (len(schedule), "a" in schedule, "c" in schedule) == (1, False, True)
    assert names(schedule.take(1)) == []
    schedule.finish("c", 1, answered=True)
    assert schedule.next_due() == 10


class ScheduleMachine(RuleBasedStateMachine):
    """Any order of events: no target is lost or polled twice at once, the limits hold, and none waits too long."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule = PollSchedule(limit=3, failing_limit=2)
        self.known: dict[str, float] = {}
        self.running: list[str] = []

    @rule(number=st.integers(0, 9), seconds=st.sampled_from([2.0, 10.0]))
    def follow(self, number: int, seconds: float) -> None:
        name = f"g{number % 3}-{number}"
        self.schedule.follow(name, name[:2], seconds, self.now)
        self.known[name] = seconds

    @rule(number=st.integers(0, 9))
    def forget(self, number: int) -> None:
        name = f"g{number % 3}-{number}"
        self.schedule.forget(name)
        self.known.pop(name, None)
        if name in self.running:
            self.running.remove(name)

    @rule(number=st.integers(0, 9))
    def hurry(self, number: int) -> None:
        self.schedule.hurry(f"g{number % 3}-{number}", self.now)

    @rule(seconds=st.sampled_from([0.5, 2.0, 7.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        for target, late in self.schedule.take(self.now):
            assert target in self.known
            assert target not in self.running, "it is polled twice at the same time"
            assert late >= 0
            self.running.append(str(target))

    @rule(answered=st.booleans())
    def finish(self, answered: bool) -> None:
        if self.running:
            self.schedule.finish(self.running.pop(0), self.now, answered=answered)

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.running) <= 3
        assert len(self.schedule) == len(self.known)

    def teardown(self) -> None:
        """Each target is polled within the longest pause, when all polls end at once."""
        for name in self.running:
            self.schedule.finish(name, self.now, answered=True)
        polled: set[Hashable] = set()
        end = self.now + MAX_BACKOFF_SECONDS
        due: float | None = self.now
        while due is not None and due <= end:
            self.now = max(self.now, due)
            while taken := poll(self.schedule, self.now):
                polled |= set(taken)
            due = self.schedule.next_due()
        assert polled == set(self.known)


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=examples(100), stateful_step_count=40)
