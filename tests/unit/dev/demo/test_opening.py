"""The demo's stages before the first job."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.world import Source, World
from tunewright_dev.demo.opening import _read_speed
from tunewright_dev.errors import DevError

IN_FLIGHT = 2


def build_server(*, replaces_pods: bool) -> dict[str, Any]:
    condition = {"type": "Reconciling", "status": "True", "observedGeneration": 1}
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
    return {
        "metadata": {"name": "smollm2", "generation": 1},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": 2, "pods": [], "conditions": [ready, *([condition] if replaces_pods else [])]},
    }


def answer(world: World, numbers: range) -> None:
    line = {"session": "s", "kind": "ticket", "status": 200, "tokens": 16}
    for number in numbers:
        end = 10.0 * number
        world.absorb(Event(Source.SPEED, end, {**line, "number": number, "start": end - 1, "end": end}))


def test_speed_is_that_of_the_whole_pool() -> None:
    world = World("support")
    world.absorb(Event(Source.SERVER, 0, build_server(replaces_pods=True)))
    answer(world, range(1, 9))
    assert _read_speed(world, IN_FLIGHT) is None
    world.absorb(Event(Source.SERVER, 81, build_server(replaces_pods=False)))
    answer(world, range(9, 15))
    speed = _read_speed(world, IN_FLIGHT)
    assert speed is not None
    assert speed.tokens_per_second == pytest.approx(1.6)


def test_measurement_that_ends_before_the_speed_is_known_is_an_error() -> None:
    world = World("support")
    world.absorb(Event(Source.SERVER, 0, build_server(replaces_pods=False)))
    answer(world, range(1, 3))
    world.absorb(Event(Source.SPEED, 30, ended=True))
    with pytest.raises(DevError, match="logs speed"):
        _read_speed(world, IN_FLIGHT)
