"""Waits in virtual time: a wait ends with an error for lack of progress, never for slowness."""

from __future__ import annotations

import pytest

from support.worlds.demo_objects import job
from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.world import Source, World
from tunewright_dev.demo.progress import marks
from tunewright_dev.demo.progress.waiter import Awaited, Waiter
from tunewright_dev.errors import DevError

PATIENCE = 900.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Cluster:
    """Events at given times; time passes only while the waiter waits for the next one."""

    def __init__(self, clock, events):
        self.clock = clock
        self.events = sorted(events, key=lambda event: event.at)

    def next(self, timeout):
        if self.events and self.events[0].at <= self.clock.now + timeout:
            event = self.events.pop(0)
            self.clock.now = max(self.clock.now, event.at)
            return event
        self.clock.now += timeout
        return None


class View:
    def __init__(self):
        self.shown, self.said = 0, []

    def show(self, world, awaited):
        self.shown += 1

    def say(self, text):
        self.said.append(text)


def at(seconds, phase, step=0, conditions=()):
    body = job(phase, attempt=1, progress={"step": step, "totalSteps": 48}, conditions=list(conditions))
    return Event(Source.JOBS, seconds, body)


def wait(events, *, check=lambda: None, each_tick=lambda: None, patience=PATIENCE):
    """Wait for the job `j`; return the time at the end, and the view."""
    clock, world, view = Clock(), World("support"), View()
    waiter = Waiter(Cluster(clock, events), world, view, check, clock)
    awaited = Awaited(
        "j being trained",
        lambda: world.jobs.get("j", {}).get("status", {}).get("phase") == "Succeeded",
        lambda: marks.mark_job(world.jobs.get("j")),
        patience,
        "`kubectl describe ftj j` shows why.",
    )
    waiter.wait(awaited, each_tick)
    return clock.now, view


@pytest.mark.parametrize("step_seconds", [5, 120, 899])
def test_a_slow_training_is_waited_for_without_a_limit(step_seconds):
    steps = [at(step * step_seconds, "Training", step) for step in range(1, 49)]
    ended, _ = wait([*steps, at(49 * step_seconds, "Succeeded", 48)])
    assert ended == 49 * step_seconds


def test_a_training_without_progress_ends_the_wait_with_a_remedy():
    stalled = {"type": "Stalled", "status": "True", "reason": "PodPending", "message": "0/1 nodes: too little memory"}
    events = [at(10, "Training", 1), at(20, "Training", 2, [stalled])]
    with pytest.raises(DevError) as caught:
        wait(events)
    said = str(caught.value)
    assert said.startswith("No progress for 15 minutes while waiting for j being trained. `kubectl describe ftj j`")
    assert "Stalled=True PodPending: 0/1 nodes: too little memory" in said


def test_repeated_states_are_no_progress():
    events = [at(seconds, ("Preparing", "Pending")[seconds // 60 % 2]) for seconds in range(0, 10_000, 60)]
    with pytest.raises(DevError, match="No progress for 15 minutes"):
        wait(events)


def test_all_waiting_events_are_absorbed_at_once():
    """After a pause of this program, hundreds of events may wait, and the last one decides."""
    ticks = []
    customers = [
        Event(
            Source.CUSTOMERS, 10.0, {"number": n, "start": 1, "end": 2, "session": "s", "kind": "ticket", "status": 200}
        )
        for n in range(1, 500)
    ]
    ended, _ = wait([*customers, at(10.0, "Succeeded")], each_tick=lambda: ticks.append(1))
    assert ended == 10.0
    assert len(ticks) < 15


def test_the_view_is_updated_once_a_second_and_each_tick_is_called():
    ticks = []
    _, view = wait([at(30, "Succeeded")], each_tick=lambda: ticks.append(1))
    assert 28 <= view.shown <= 31
    assert len(ticks) >= view.shown


def test_a_failed_check_ends_the_wait():
    def check():
        raise DevError("The customers' pod has ended")

    with pytest.raises(DevError, match="customers' pod"):
        wait([], check=check)
