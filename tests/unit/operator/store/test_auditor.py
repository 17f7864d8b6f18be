"""An audit repairs what events missed, and leaves alone what is only late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from support.clusters.fake_cluster import FakeCluster
from support.clusters.feeds import StoreFeed, UnreliableFeed, assert_equal
from support.store_objects import BUILDERS, KINDS, Body, build_child, build_job
from tunewright_operator.api.kinds import FINE_TUNE_JOB, JOB, Kind
from tunewright_operator.cluster import ForbiddenError, UnavailableError
from tunewright_operator.store import auditor as auditor_module
from tunewright_operator.store.auditor import Auditor


class Setting:
    """A cluster with one object of each kind, whose events do not come any more."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        for kind in KINDS:
            self.cluster.put(BUILDERS[kind]("one"))
        self.feed = StoreFeed(self.cluster)
        self.cluster.watchers.clear()
        self.while_waiting: Callable[[], object] = lambda: None
        self.waited: list[float] = []
        self.auditor = Auditor(self.feed.store, self.cluster, sleep=self.wait)

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.while_waiting()

    def address(self, kind: Kind, name: str = "one") -> tuple[str | None, str]:
        return ("team" if kind.namespaced else None), name

    def version(self, kind: Kind, name: str = "one") -> str | None:
        entry = self.feed.store.find(kind, *self.address(kind, name))
        return entry and str(entry.origin.version)


def count_repairs(kind: Kind) -> float:
    return REGISTRY.get_sample_value("tunewright_store_repairs_total", {"kind": kind.name}) or 0.0


async def test_a_store_that_is_right_is_not_changed():
    setting = Setting()
    before = {kind: setting.version(kind) for kind in KINDS}
    assert await setting.auditor.audit() == 0
    assert setting.waited == []
    assert {kind: setting.version(kind) for kind in KINDS} == before


def lose_creation(cluster: FakeCluster, kind: Kind) -> None:
    cluster.put(BUILDERS[kind]("two"))


def lose_change(cluster: FakeCluster, kind: Kind) -> None:
    address = cluster.find(kind, "team" if kind.namespaced else None, "one")
    assert address is not None
    cluster.put({**address, "metadata": {**address["metadata"], "annotations": {"a": "b"}}})


def lose_deletion(cluster: FakeCluster, kind: Kind) -> None:
    cluster.remove(kind, "team" if kind.namespaced else None, "one")


def lose_both(cluster: FakeCluster, kind: Kind) -> None:
    lose_deletion(cluster, kind)
    cluster.put(BUILDERS[kind]("one", uid="another"))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("lose", [lose_creation, lose_change, lose_deletion, lose_both])
async def test_a_lost_event_is_repaired_and_counted(kind: Kind, lose: Callable[[FakeCluster, Kind], None]):
    setting = Setting()
    before = count_repairs(kind)
    lose(setting.cluster, kind)
    assert await setting.auditor.audit() == 1
    assert setting.waited == [auditor_module.PATIENCE_SECONDS]
    assert count_repairs(kind) == before + 1
    assert_equal(setting.feed.store, setting.cluster)
    assert await setting.auditor.audit() == 0


@pytest.mark.parametrize("lose", [lose_creation, lose_change, lose_deletion, lose_both])
async def test_an_event_that_comes_while_the_audit_waits_is_no_repair(lose: Callable[[FakeCluster, Kind], None]):
    setting = Setting()
    before = count_repairs(FINE_TUNE_JOB)
    events: list[tuple[str, Body]] = []
    setting.cluster.watchers.append(lambda event, body: events.append((event, body)))
    lose(setting.cluster, FINE_TUNE_JOB)
    setting.while_waiting = lambda: [setting.feed.receive(*event) for event in events]
    assert await setting.auditor.audit() == 0
    assert count_repairs(FINE_TUNE_JOB) == before
    assert_equal(setting.feed.store, setting.cluster)


async def test_an_object_that_is_deleted_while_the_audit_waits_is_not_added():
    setting = Setting()
    lose_creation(setting.cluster, FINE_TUNE_JOB)
    setting.while_waiting = lambda: setting.cluster.remove(FINE_TUNE_JOB, "team", "two")
    assert await setting.auditor.audit() == 0
    assert_equal(setting.feed.store, setting.cluster)


async def test_an_object_that_is_newer_in_the_store_than_in_the_list_is_left_alone():
    """An own write is in the store before the list that began earlier has ended."""
    setting = Setting()
    listed = setting.cluster.list_metadata

    async def list_slowly(kind: Kind, labels: Any = None) -> Any:
        async for page in listed(kind, labels):
            lose_change(setting.cluster, kind)
            lose_creation(setting.cluster, kind)
            for name in ("one", "two"):
                body = setting.cluster.peek(kind, *setting.address(kind, name))
                setting.feed.store.upsert(kind, body)
            yield page

    setting.cluster.list_metadata = list_slowly  # type: ignore[method-assign]
    assert await setting.auditor.audit() == 0
    assert_equal(setting.feed.store, setting.cluster)


async def test_a_deletion_that_was_reported_by_mistake_is_repaired():
    setting = Setting()
    body = setting.cluster.peek(FINE_TUNE_JOB, "team", "one")
    setting.feed.store.remove(FINE_TUNE_JOB, "team", "one", body["metadata"]["uid"])
    assert await setting.auditor.audit() == 1
    assert_equal(setting.feed.store, setting.cluster)


async def test_children_of_others_are_not_added():
    setting = Setting()
    foreign = build_child(JOB, "foreign", build_job())
    setting.cluster.put({**foreign, "metadata": {**foreign["metadata"], "labels": {}}})
    assert await setting.auditor.audit() == 0


async def test_a_child_that_gets_our_label_back_after_an_audit_is_taken():
    setting = Setting()
    child = setting.cluster.peek(JOB, "team", "one")
    setting.cluster.put({**child, "metadata": {**child["metadata"], "labels": {}}})
    assert await setting.auditor.audit() == 1
    assert setting.feed.store.count(JOB) == 0
    again = setting.cluster.put(child)
    assert setting.feed.store.upsert(JOB, again)


async def test_everything_is_listed_in_pages():
    setting = Setting()
    setting.cluster.page_size = 2
    for number in range(7):
        setting.cluster.put(build_job(f"job-{number}"))
    assert await setting.auditor.audit() == 7
    assert_equal(setting.feed.store, setting.cluster)


@pytest.mark.parametrize("kind", auditor_module.TAKEN_OVER, ids=str)
@pytest.mark.parametrize("lose", [lose_creation, lose_change, lose_deletion, lose_both])
async def test_a_new_leader_knows_what_the_last_one_wrote_before_it_works(
    kind: Kind, lose: Callable[[FakeCluster, Kind], None]
):
    """Its watches may be late. An old weight in the plan would give requests back to a candidate that ended."""
    setting = Setting()
    before = count_repairs(kind)
    lose(setting.cluster, kind)
    setting.cluster.fail_next(UnavailableError("no answer"), "list")
    async with setting.auditor.running(on_end=lambda: None):
        assert_equal(setting.feed.store, setting.cluster)
    assert setting.waited == [auditor_module.RETRY_SECONDS]
    assert count_repairs(kind) == before, "a watch that is late is no lost event"


@pytest.mark.parametrize("broken", KINDS, ids=str)
async def test_a_kind_that_cannot_be_listed_does_not_keep_others_from_the_audit(broken: Kind):
    setting = Setting()
    for kind in KINDS:
        lose_creation(setting.cluster, kind)
    setting.cluster.fail_next(ForbiddenError("no right"), "list", broken)
    assert await setting.auditor.audit() == len(KINDS) - 1
    assert await setting.auditor.audit() == 1
    assert_equal(setting.feed.store, setting.cluster)


async def test_a_difference_that_cannot_be_read_is_left_to_the_next_audit():
    setting = Setting()
    lose_creation(setting.cluster, FINE_TUNE_JOB)

    async def wait(seconds: float) -> None:
        setting.waited.append(seconds)
        if setting.waited.count(600.0) == 3:
            raise KeyboardInterrupt
        if len(setting.waited) == 2:
            setting.cluster.fail_next(UnavailableError("no answer"), "list")

    auditor = Auditor(setting.feed.store, setting.cluster, interval=600.0, sleep=wait)
    with pytest.raises(KeyboardInterrupt):
        await auditor.run()
    assert setting.waited == [600.0, auditor_module.PATIENCE_SECONDS] * 2 + [600.0]
    assert_equal(setting.feed.store, setting.cluster)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "remove", "restart", "step", "write"]),
        st.sampled_from(KINDS),
        st.sampled_from(["one", "two", "three"]),
        st.integers(0, 9),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(events=EVENTS, seed=st.integers(0, 2**32), lag=st.integers(0, 12))
async def test_after_one_audit_the_store_equals_the_cluster(
    events: list[tuple[str, Kind, str, int]], seed: int, lag: int
):
    """Whatever of the events was lost, came twice or in another order; the audit itself meets more changes."""
    cluster = FakeCluster()
    feed = UnreliableFeed(cluster, seed, lag)
    created = 0
    for what, kind, name, number in events:
        namespace = "team" if kind.namespaced else None
        exists = cluster.find(kind, namespace, name)
        if what == "put":
            created += exists is None
            cluster.put(exists or BUILDERS[kind](name, uid=f"{name}-{created}"))
            cluster.edit(
                kind, namespace, name, lambda body, n=number: body["metadata"].update(annotations={"n": str(n)})
            )
        elif what == "remove":
            cluster.remove(kind, namespace, name)
        elif what == "write" and exists is not None:
            await feed.cluster.patch_metadata(
                kind, namespace, name, labels={**exists["metadata"].get("labels", {}), "n": str(number)}
            )
        elif what == "restart":
            feed.restart()
        feed.step()
    while await feed.catch_up():
        pass


async def test_audits_run_until_the_end_of_the_context_and_their_failure_is_not_hidden():
    setting, ended = Setting(), asyncio.Event()
    waiting = asyncio.Event()

    async def wait(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with Auditor(setting.feed.store, setting.cluster, sleep=wait).running(on_end=ended.set):
        await waiting.wait()
        assert not ended.is_set()
    assert ended.is_set()

    async def fail(_seconds: float) -> None:
        raise LookupError("a bug")

    ended.clear()
    with pytest.raises(LookupError, match="a bug"):
        async with Auditor(setting.feed.store, setting.cluster, sleep=fail).running(on_end=ended.set):
            await ended.wait()
