"""When children appear: the Jobs that our operator creates, and the pods that the peer creates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from scale_bench.api import Api
from tunewright_dev.errors import DevError

Key = tuple[str, str]
"""The namespace and the name of a parent."""


class Children:
    """Follows the children of one kind, each by the label that names its parent."""

    def __init__(self, api: Api, path: str, selector: str, parent_label: str) -> None:
        self._api: Final = api
        self._path: Final = path
        self._selector: Final = selector
        self._parent_label: Final = parent_label
        self._appeared: dict[Key, float] = {}
        self._present: set[Key] = set()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the children while the block runs."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        async for event, child in self._api.watch(self._path, metadata_only=True, labelSelector=self._selector):
            metadata = child["metadata"]
            key = (metadata["namespace"], metadata["labels"][self._parent_label])
            if event == "DELETED":
                self._present.discard(key)
            else:
                self._present.add(key)
                self._appeared.setdefault(key, time.monotonic())
            async with self._changed:
                self._changed.notify_all()

    @property
    def appeared(self) -> Mapping[Key, float]:
        """When the first child of each parent appeared, by the monotonic clock."""
        return self._appeared

    async def wait_for(self, parents: Collection[Key], seconds: float) -> float:
        """Wait until each parent has a child; return when the last one appeared.

        Raises:
            DevError: some have none after `seconds`.
        """
        await self._wait(lambda: self._appeared.keys() >= set(parents), seconds, "without a child", parents)
        return max(self._appeared[parent] for parent in parents)

    async def wait_gone(self, parents: Collection[Key], seconds: float) -> None:
        """Wait until the children of these parents are deleted.

        Raises:
            DevError: some exist after `seconds`.
        """
        await self._wait(lambda: not self._present & set(parents), seconds, "with a child", parents)

    async def _wait(self, is_done: Callable[[], bool], seconds: float, state: str, parents: Collection[Key]) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(is_done)
        except TimeoutError as error:
            counts = f"{len(self._present & set(parents))} of {len(parents)} parents have a child"
            raise DevError(f"After {seconds:.0f} s, some parents are {state}: {counts} ({self._path}).") from error
