"""The feed: a reflector for each kind, from the start of the process to its end, whether this replica leads or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NoReturn, Self

from tunewright_operator.api.kinds import Kind
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.kubernetes_cluster import load_credentials
from tunewright_operator.kubernetes_api.reflector import Reflector, Sink, Timing

OpenClient = Callable[[], contextlib.AbstractAsyncContextManager[APIClient]]


class ReflectorFeed:
    """Fills a cache with the objects of some kinds; if a reflector fails unexpectedly, it sets ``stop``."""

    def __init__(
        self,
        sink: Sink,
        kinds: Mapping[Kind, Mapping[str, str]],
        stop: asyncio.Event,
        *,
        namespaces: tuple[str, ...] = (),
        open_client: OpenClient | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Prepare the feed.

        Args:
            sink: the cache.
            kinds: the labels by which the API server selects the objects of each kind.
            stop: set when a reflector fails.
            namespaces: the namespaces whose objects are watched, each by a reflector of its own; empty: all, by one.
            open_client: how to connect to the API server.
            timing: the times in seconds.
        """
        self._namespaces = namespaces
        self._sink = sink
        self._kinds = kinds
        self._stop = stop
        self._open_client = open_client or open_watch_client
        self._timing = timing
        self._stack = contextlib.AsyncExitStack()
        self._reflectors: list[Reflector] = []
        self._tasks: list[asyncio.Task[NoReturn]] = []

    async def __aenter__(self) -> Self:
        """Start to list and to watch."""
        client = await self._stack.enter_async_context(self._open_client())
        for kind, labels in self._kinds.items():
            self._start(client, kind, labels)
        return self

    def _start(self, client: APIClient, kind: Kind, labels: Mapping[str, str]) -> None:
        """Start the reflectors of a kind; the cache is synced when each of them has listed its part once."""
        parts: list[Reflector] = []

        def on_listed() -> None:
            if all(part.listed.is_set() for part in parts):
                self._sink.synced(kind)

        scopes = self._namespaces if kind.namespaced and self._namespaces else (None,)
        parts += [
            Reflector(
                client,
                kind,
                self._sink,
                namespace=namespace,
                labels=labels,
                timing=self._timing,
                on_listed=on_listed,
            )
            for namespace in scopes
        ]
        for part in parts:
            task = asyncio.create_task(part.run(), name=f"watch-{kind.plural}")
            task.add_done_callback(lambda _: self._stop.set())
            self._tasks.append(task)
        self._reflectors += parts

    async def __aexit__(self, *_: object) -> None:
        """End the watches.

        Raises:
            Exception: what a reflector failed with.
        """
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def wait_until_filled(self) -> None:
        """Wait until everything that exists was listed once."""
        for reflector in self._reflectors:
            await reflector.listed.wait()


@contextlib.asynccontextmanager
async def open_watch_client() -> AsyncIterator[APIClient]:
    """Open a client for the watches, each of which keeps a connection; its few requests need no limit."""
    client = APIClient(await load_credentials())
    try:
        yield client
    finally:
        await client.close()
