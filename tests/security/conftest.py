"""A pod that serves one alias, which the attacks of this folder try to take from its other clients."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import serve


@pytest.fixture
async def pod(tmp_path):
    """A pod whose alias `support` is answered by `pod.stable`; `pod.vllm` records what reaches vLLM."""
    pod = world.Pod(tmp_path / "pod")
    pod.stable = pod.source.publish(tmp_path / "a", 1)
    async with pod.running():
        await serve(pod, (pod.stable, 100))
        yield pod
