"""A pod that serves one alias, for the tests of its HTTP side."""

import os

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import serve
from tunewright_server.telemetry import memory


@pytest.fixture(autouse=True, scope="session")
def processes(tmp_path_factory):
    """Let a pod see one process, as in its PID namespace: each state of a pod reads the files of all processes."""
    folder = tmp_path_factory.mktemp("proc")
    (folder / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_PROC", folder)
        assert memory.read_peak_mebibytes() > 0
        yield


@pytest.fixture
async def pod(tmp_path):
    """A pod that serves `pod.stable` and, as canary, `pod.canary`."""
    pod = world.Pod(tmp_path / "pod", max_request_bytes=600_000)
    pod.stable = pod.source.publish(tmp_path / "a", 1)
    pod.canary = pod.source.publish(tmp_path / "b", 2)
    async with pod.running():
        await serve(pod, (pod.stable, 100))
        yield pod
