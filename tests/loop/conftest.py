"""The world that most tests of serving begin in."""

from __future__ import annotations

import pytest

from support.worlds.serving_world import ServingWorld


@pytest.fixture
def world() -> ServingWorld:
    """Return a pool, and a deployment that no adapter matches yet; nobody has looked at either."""
    world = ServingWorld()
    world.put_deployment()
    return world
