"""The work queue of one kind, in virtual time."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.queue import COALESCE_SECONDS, Work, WorkQueue

KEY = Key(FINE_TUNE_JOB, "ns", "job")


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock)


def take(queue: WorkQueue) -> Work:
    work = queue.take()
    assert work is not None
    return work


def test_a_key_waits_once_however_often_it_is_woken(queue: WorkQueue):
    for _ in range(3):
        queue.wake(KEY, Urgency.USER)
    queue.done(take(queue))
    assert queue.take() is None


def test_a_key_that_is_worked_on_is_not_taken_again_before_its_end(queue: WorkQueue):
    queue.wake(KEY, Urgency.USER)
    work = take(queue)
    queue.wake(KEY, Urgency.LISTING)
    queue.wake(KEY, Urgency.USER)
    queue.wake(KEY, Urgency.LISTING)
    assert queue.take() is None
    assert work.woken is Urgency.USER
    queue.done(work)
    assert take(queue).urgency is Urgency.USER
    assert queue.take() is None


def test_changes_of_children_are_grouped(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.CHILD)
    clock.now = COALESCE_SECONDS / 2
    queue.wake(KEY, Urgency.CHILD)
    assert queue.take() is None
    assert queue.next_due() == COALESCE_SECONDS
    clock.now = COALESCE_SECONDS
    queue.done(take(queue))
    clock.now = 99
    assert queue.take() is None


@pytest.mark.parametrize("urgency", [urgency for urgency in Urgency if urgency is not Urgency.CHILD])
def test_every_other_wake_up_counts_at_once_and_ends_the_wait_for_more_children(queue: WorkQueue, urgency: Urgency):
    queue.wake(KEY, Urgency.CHILD)
    queue.wake(KEY, urgency)
    assert take(queue).urgency is urgency
    assert queue.next_due() is None


def test_a_changed_child_is_not_lost_behind_a_listing(queue: WorkQueue, clock: Clock):
    other = Key(FINE_TUNE_JOB, "ns", "other")
    queue.wake(KEY, Urgency.CHILD)
    queue.wake(other, Urgency.LISTING)
    queue.wake(KEY, Urgency.LISTING)
    clock.now = COALESCE_SECONDS
    assert [take(queue).urgency, take(queue).urgency] == [Urgency.CHILD, Urgency.LISTING]
    queue.wake(Key(FINE_TUNE_JOB, "ns", "third"), Urgency.LISTING)
    queue.wake(Key(FINE_TUNE_JOB, "ns", "third"), Urgency.CHILD)
    assert take(queue).urgency is Urgency.CHILD


def test_work_ends_with_the_time_of_the_next(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.USER)
    queue.done(take(queue), 30, Urgency.TIMER)
    clock.now = 29.9
    assert queue.take() is None
    assert (queue.timed(), queue.next_due()) == (1, 30)
    clock.now = 31.5
    work = take(queue)
    assert (work.urgency, work.waited_seconds) == (Urgency.TIMER, 1.5)
    assert (queue.timed(), queue.next_due()) == (0, None)


def test_the_time_of_the_next_work_is_void_when_a_key_is_woken_before(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.USER)
    queue.done(take(queue), 30, Urgency.TIMER)
    queue.wake(KEY, Urgency.USER)
    queue.done(take(queue))
    clock.now = 31
    assert queue.take() is None


def test_a_timer_that_ends_during_the_work_lets_the_key_wait_again(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.USER)
    work = take(queue)
    queue.after(KEY, 1, Urgency.PROGRESS)
    clock.now = 2
    assert queue.take() is None
    queue.done(work)
    assert take(queue).urgency is Urgency.PROGRESS


@pytest.mark.parametrize("urgency", [Urgency.USER, Urgency.CHILD])
def test_nothing_is_left_of_a_forgotten_key(queue: WorkQueue, clock: Clock, urgency: Urgency):
    queue.wake(KEY, urgency)
    queue.after(KEY, 5, Urgency.TIMER)
    queue.forget(KEY)
    clock.now = 99
    assert (queue.take(), queue.next_due(), queue.timed()) == (None, None, 0)


def test_work_on_a_forgotten_key_ends_it(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.USER)
    work = take(queue)
    queue.wake(KEY, Urgency.USER)
    queue.forget(KEY)
    assert work.forgotten
    queue.done(work, 5)
    clock.now = 99
    assert (queue.take(), queue.timed()) == (None, 0)


def test_a_new_resource_of_a_forgotten_name_waits_for_the_work_on_the_old_one(queue: WorkQueue):
    queue.wake(KEY, Urgency.USER)
    work = take(queue)
    queue.forget(KEY)
    queue.wake(KEY, Urgency.USER)
    assert queue.take() is None
    queue.done(work, 5)
    assert not take(queue).forgotten
    assert queue.timed() == 0


def test_depth_and_age_by_urgency(queue: WorkQueue, clock: Clock):
    queue.wake(KEY, Urgency.LISTING)
    queue.wake(Key(FINE_TUNE_JOB, "ns", "child"), Urgency.CHILD)
    clock.now = 5
    queue.wake(Key(FINE_TUNE_JOB, "ns", "late"), Urgency.LISTING)
    depths = {urgency: queue.depth(urgency) for urgency in Urgency if queue.depth(urgency)}
    assert depths == {Urgency.LISTING: 2, Urgency.CHILD: 1}
    assert queue.oldest_seconds(Urgency.LISTING) == 5
    assert queue.oldest_seconds(Urgency.CHILD) == 5 - COALESCE_SECONDS
    assert queue.oldest_seconds(Urgency.USER) == 0
