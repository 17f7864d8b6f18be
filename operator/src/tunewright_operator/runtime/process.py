"""The process: Kopf starts it, receives its signals, and ends it.

Kopf has handlers of its own life only, and none of a resource: so it watches and writes nothing, and neither finalizers
nor annotations of Kopf are on any resource (docs/adr/0016-own-reflector.md). The work of the process is one task, which
begins in Kopf's startup and has ended when Kopf's cleanup returns. Kopf waits up to 5 s for tasks that are left after
that, so the work must leave none.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import kopf


class Work(Protocol):
    """What the process does."""

    async def __call__(self, *, stop: asyncio.Event, started: asyncio.Event) -> None:
        """Work until ``stop`` is set, and set ``started`` when the API server answers, which Kopf's start needs."""


async def run_process(work: Work, identity: str) -> None:
    """Run the work until SIGTERM or SIGINT, or until it ends.

    Raises:
        Exception: what the work or Kopf failed with. If Kopf failed, the work was stopped.
    """
    process = _Process(work)
    settings = kopf.OperatorSettings()
    # Without handlers of resources, it does not matter to Kopf which ones exist.
    settings.scanning.disabled = True
    # Kopf would kill the process 10 minutes after its end. The kubelet does that, after the grace period of the pod.
    settings.process.ultimate_exiting_timeout = None
    await kopf.operator(
        registry=process.build_registry(),
        settings=settings,
        clusterwide=True,
        standalone=True,
        # By default Kopf looks up the user name, which an arbitrary UID in a container does not have.
        identity=identity,  # type: ignore[arg-type] # a NewType of str in a private module
        stop_flag=process.ended,
    )
    process.raise_failure()


class _Process:
    """The work between Kopf's startup and its cleanup."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    def build_registry(self) -> kopf.OperatorRegistry:
        """Return Kopf's handlers."""
        registry, once = kopf.OperatorRegistry(), kopf.ErrorsMode.PERMANENT
        kopf.on.startup(registry=registry, id="start", errors=once)(self._start)
        kopf.on.cleanup(registry=registry, id="stop", errors=once)(self._end)
        kopf.on.login(registry=registry, id="login")(log_in)
        return registry

    def raise_failure(self) -> None:
        """Raise what the work failed with, if it failed."""
        if self._task is not None:
            self._task.result()

    async def _start(self, **_: Any) -> None:
        self._task = asyncio.create_task(self._work(stop=self._stop, started=self._started), name="work")
        self._task.add_done_callback(lambda _: self.ended.set())
        try:
            await self._started.wait()
        except asyncio.CancelledError:
            # After a signal during the startup, or if the work has ended, Kopf calls no cleanup.
            await self._end()
            raise

    async def _end(self, **_: Any) -> None:
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task})


def log_in(**options: Any) -> kopf.ConnectionInfo | None:
    """Return the credentials for Kopf's only requests, which discover the API server's kinds at the start."""
    return kopf.login_with_service_account(**options) or kopf.login_with_kubeconfig(**options)
