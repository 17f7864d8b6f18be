"""A feed that lists first: watches begin before the list, and the store is synced after it."""

from __future__ import annotations

from typing import Self

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.store_objects import BUILDERS, KINDS, build_child, build_job
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB
from tunewright_operator.cluster import UnavailableError
from tunewright_operator.store import feed as feed_module
from tunewright_operator.store.feed import ListedFeed, labels_of
from tunewright_operator.store.store import Store


class Watches:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __aenter__(self) -> Self:
        self.calls.append("start")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.calls.append("end")

    async def wait_until_filled(self) -> None:
        self.calls.append("watching")


async def test_everything_is_listed_after_the_watches_have_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed_module, "RETRY_SECONDS", 0)
    cluster, store, watches = FakeCluster(), Store(), Watches()
    for kind in KINDS:
        cluster.put(BUILDERS[kind]("one"))
    foreign = build_child(JOB, "foreign", build_job())
    cluster.put({**foreign, "metadata": {**foreign["metadata"], "labels": {}}})
    cluster.fail_next(UnavailableError("no answer"), "list", FINE_TUNE_JOB)
    store.when_synced(lambda: watches.calls.append("synced"))
    async with ListedFeed(watches, store, cluster) as feed:
        await feed.wait_until_filled()
    assert watches.calls == ["start", "watching", "synced", "end"]
    assert {kind: store.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 1)


def test_only_children_are_selected_by_a_label():
    assert [bool(labels_of(kind)) for kind in KINDS] == [False] * 4 + [True] * 4
