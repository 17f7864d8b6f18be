"""Each stage is announced with its time on the reference machine, the time here, and the remaining time."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.timekeeper import Timekeeper
from tunewright_dev.demo.timing import sizes
from tunewright_dev.demo.timing.reference import Reference
from tunewright_dev.demo.timing.speed import Speed

REFERENCE = Reference.model_validate(
    {"speed": {"tokensPerSecond": 80}, "seconds": {"stages": {"servers": 60, "train": 120, "evaluate": 90}}}
)


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def said():
    return []


@pytest.fixture
def times(clock, said):
    return Timekeeper(said.append, REFERENCE, lambda: clock[0])


def test_before_the_speed_is_known_only_reference_times_are_shown(times, clock, said):
    times.enter("servers")
    assert said == ["stage “servers”: 01:00 on the reference machine, 00:00 elapsed"]
    assert times.patience_seconds == sizes.FIRST_PATIENCE_SECONDS


def test_after_the_measurement_the_time_here_and_the_remaining_time_are_shown(times, clock, said):
    times.enter("servers")
    clock[0] += 100
    derived = times.derive_sizes(Speed(40, 24))
    assert (derived.slowdown, times.patience_seconds) == (2, 1800)
    assert said[1:] == [
        "the pool generates 40.0 tokens/s for 24 requests at a time (reference machine: 80)",
        "the whole story takes about 9 minutes here (4 on the reference machine)",
        "it continues as long as there is progress, and fails after 30 minutes without progress",
        "each canary step needs 100 answers of each revision within 4000 s; a bake takes 24 s",
    ]
    times.enter("train")
    assert said[-2:] == [
        "stage “servers” took 01:40",
        "stage “train”: 02:00 on the reference machine, about 04:00 here, 01:40 elapsed, about 07:00 left",
    ]


def test_a_stage_is_announced_once_and_its_end_is_reported_once(times, clock, said):
    times.enter("train")
    times.enter("train")
    clock[0] += 61
    times.finish()
    times.finish()
    assert len(said) == 2
    assert said[-1] == "stage “train” took 01:01"
    assert times.stages == {"train": 61}


def test_a_stage_that_the_reference_lacks_has_no_estimate(times, said):
    times.derive_sizes(Speed(80, 24))
    times.enter("canary of the moon")
    assert said[-1] == "stage “canary of the moon”: 00:00 elapsed"
