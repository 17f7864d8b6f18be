"""The world in which most tests of serving start."""

from __future__ import annotations

import pytest

from support.worlds.serving_world import ServingWorld


@pytest.fixture
def world() -> ServingWorld:
    """Return a pool and a deployment without an adapter, before the first reconciliation of either."""
    world = ServingWorld()
    world.put_deployment()
    return world
