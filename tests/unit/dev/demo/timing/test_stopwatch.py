"""Stages follow each other, and the time of each is measured."""

from __future__ import annotations

from tunewright_dev.demo.timing.stopwatch import Lap, Stopwatch


def test_each_stage_has_its_seconds_in_their_order():
    watch = Stopwatch(100)
    assert watch.enter("servers", 100) is None
    assert watch.enter("train", 130) == Lap("servers", 30)
    assert watch.enter("train", 140) is None
    assert watch.enter("evaluate", 200) == Lap("train", 70)
    assert watch.stop(210) == Lap("evaluate", 10)
    assert watch.stop(220) is None
    assert list(watch.seconds.items()) == [("servers", 30), ("train", 70), ("evaluate", 10)]
    assert watch.elapsed(220) == 120


def test_a_stage_that_begins_again_has_the_sum():
    watch = Stopwatch(0)
    for stage, now in (("evaluate", 0), ("observe", 10), ("evaluate", 15)):
        watch.enter(stage, now)
    watch.stop(35)
    assert watch.seconds == {"evaluate": 30, "observe": 5}


def test_the_time_between_two_stages_does_not_count():
    watch = Stopwatch(0)
    watch.enter("a", 0)
    watch.stop(10)
    watch.enter("b", 50)
    watch.stop(60)
    assert watch.seconds == {"a": 10, "b": 10}
