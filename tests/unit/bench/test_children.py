from __future__ import annotations

import asyncio

import pytest

from scale_bench.children import Children
from tunewright_dev.errors import DevError


class Api:
    """Yields the events that are put into it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue = asyncio.Queue()

    def put(self, event: str, parent: str) -> None:
        metadata = {"namespace": "team", "name": f"{parent}-child", "labels": {"parent": parent}}
        self.events.put_nowait((event, {"metadata": metadata}))

    async def watch(self, path, *, metadata_only, **query):
        assert (path, metadata_only, query) == ("/jobs", True, {"labelSelector": "role=child"})
        while True:
            yield await self.events.get()


async def test_children_appear_and_are_deleted():
    api = Api()
    children = Children(api, "/jobs", "role=child", "parent")
    parents = [("team", "a"), ("team", "b")]
    async with children.followed():
        api.put("ADDED", "a")
        api.put("MODIFIED", "a")
        api.put("ADDED", "b")
        last = await children.wait_for(parents, 30)
        assert last == max(children.appeared.values())
        with pytest.raises(DevError, match="2 of 2 parents have a child"):
            await children.wait_gone(parents, 0.01)
        api.put("DELETED", "a")
        api.put("DELETED", "b")
        await children.wait_gone(parents, 30)


async def test_parents_without_a_child_are_counted():
    api = Api()
    children = Children(api, "/jobs", "role=child", "parent")
    async with children.followed():
        api.put("ADDED", "a")
        await children.wait_for([("team", "a")], 30)
        with pytest.raises(DevError, match=r"1 of 2 parents have a child \(/jobs\)"):
            await children.wait_for([("team", "a"), ("team", "b")], 0.01)
