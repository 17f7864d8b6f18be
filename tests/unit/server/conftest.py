"""A pod that serves one alias, for the tests of its HTTP side."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import serve


@pytest.fixture
async def pod(tmp_path):
    """A pod that serves `pod.stable` and, as canary, `pod.canary`."""
    pod = world.Pod(tmp_path / "pod", max_request_bytes=600_000)
    pod.stable = pod.source.publish(tmp_path / "a", 1)
    pod.canary = pod.source.publish(tmp_path / "b", 2)
    async with pod.running():
        await serve(pod, (pod.stable, 100))
        yield pod
