"""The feed: Kopf's watches, from the start of the process to its end, whether this replica leads or not.

Kopf counts every task that appeared in the event loop after its own start as its own. When it ends, it waits up to 5 s
for them, and then cancels them; loops that wait for an event, and connections of the metrics' readers, are such tasks.
Therefore

- this process ends before Kopf does: the loops end and the Lease is released while Kopf still watches, and Kopf's
  handlers of the signals, with which it would end first, are replaced;
- Kopf is cancelled, since it then waits for nothing but the handlers that run.
"""

from __future__ import annotations

import asyncio
from typing import Self

import kopf

from tunewright_operator.handlers.settings import configure
from tunewright_operator.runtime.replica import stop_on_signals


class FeedEndedError(Exception):
    """Kopf ended although nothing asked it to."""


class KopfFeed:
    """Kopf's watches as the `Feed` of a replica; at a signal, or if the watches end, it sets ``stop``."""

    def __init__(self, registry: kopf.OperatorRegistry, identity: str, stop: asyncio.Event) -> None:
        self._registry = registry
        self._identity = identity
        self._stop = stop
        self._is_started = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start to watch."""
        settings = kopf.OperatorSettings()
        configure(settings)
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=self._registry,
            settings=settings,
            clusterwide=True,
            standalone=True,
            # By default Kopf looks up the user name, which an arbitrary UID in a container does not have.
            identity=self._identity,  # type: ignore[arg-type] # a NewType of str in a private module
            ready_flag=self._is_started,
        )
        stop_on_signals(self._stop)
        self._kopf = asyncio.create_task(kopf.run_tasks(tasks, ignored=others), name="kopf")
        self._kopf.add_done_callback(lambda _: self._stop.set())
        # A task that is cancelled before its first step does nothing, so Kopf would not end what it has started.
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the watches.

        Raises:
            FeedEndedError: they ended before, without an error. If they ended with an error, it is raised.
        """
        ended = self._kopf.done()
        self._kopf.cancel()
        await asyncio.wait({self._kopf})
        if ended:
            self._kopf.result()
            raise FeedEndedError("Kopf has ended its watches")

    async def wait_until_filled(self) -> None:
        """Wait until Kopf watches. It calls the handlers of a resource as soon as it has listed it."""
        await self._is_started.wait()
