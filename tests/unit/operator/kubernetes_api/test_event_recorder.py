"""Events are written later, merged, limited by object, bounded, and never by a replica that does not lead."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from prometheus_client import REGISTRY

from support.virtual_time import in_virtual_time
from tunewright_operator.cluster import (
    AlreadyExistsError,
    ClusterError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from tunewright_operator.kubernetes_api import event_recorder
from tunewright_operator.kubernetes_api.client import Request, Verb
from tunewright_operator.kubernetes_api.event_recorder import (
    BURST,
    FLUSH_SECONDS,
    QUEUE,
    REFILL_SECONDS,
    EventRecorder,
)
from tunewright_operator.manifests.events import EventType

START = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


def job(name: str = "j") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "5"}
    return {"apiVersion": "tunewright.dev/v1alpha1", "kind": "FineTuneJob", "metadata": metadata}


class World:
    """The recorder with a clock, and an API server that fails on demand."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self.requests: list[Request] = []
        self.failures: list[ClusterError | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.leads = True
        self.recorder = EventRecorder(
            self,
            instance="pod",
            now=lambda: START + dt.timedelta(seconds=self.seconds),
            elapsed=lambda: self.seconds,
            sleep=self.sleep,
        )

    async def request(self, request: Request) -> dict[str, Any]:
        self.requests.append(request)
        await self.gate.wait()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return {}

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def emit(self, message: str = "m", name: str = "j", reason: str = "Training") -> None:
        self.recorder.emit(job(name), EventType.NORMAL, reason, message, may_write=lambda: self.leads)

    async def written(self) -> list[tuple[str, Any, Any]]:
        """Return verb, message and count of what was sent since the last call."""
        await self.recorder.flush(60)
        requests, self.requests = self.requests, []
        return [(r.verb.value, (r.body or {}).get("message"), (r.body or {}).get("count")) for r in requests]


@pytest.fixture
async def world() -> World:
    return World()


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("tunewright_operator_events_dropped_total", {"reason": reason}) or 0.0


async def test_an_event_is_written_by_a_task_and_not_by_its_caller(world: World):
    world.emit()
    assert world.requests == []
    await world.recorder.flush()
    (request,) = world.requests
    assert (request.verb, request.path) == (Verb.CREATE, "/api/v1/namespaces/ns/events")
    body = request.body or {}
    assert body["metadata"]["name"].startswith("j.")
    assert body["reportingInstance"] == "pod"
    assert (body["firstTimestamp"], body["lastTimestamp"]) == ("2026-01-31T12:00:00Z",) * 2


async def test_identical_events_raise_the_count_of_the_first_one(world: World):
    world.emit()
    world.emit()
    assert await world.written() == [("create", "m.", 2)]
    (name,) = {series.name for series in world.recorder._series.values()}
    world.seconds = 90
    world.emit()
    await world.recorder.flush()
    (request,) = world.requests
    assert (request.verb, request.path) == (Verb.PATCH, f"/api/v1/namespaces/ns/events/{name}")
    assert request.body == {"count": 3, "lastTimestamp": "2026-01-31T12:01:30Z"}


async def test_a_count_that_rises_while_it_is_written_is_written_again(world: World):
    world.gate.clear()
    world.emit()
    while not world.requests:  # noqa: ASYNC110 - no event reports a request
        await asyncio.sleep(0)
    world.emit()
    world.gate.set()
    assert await world.written() == [("create", "m.", 1), ("patch", None, 2)]


async def test_events_that_differ_are_separate_and_in_order(world: World):
    world.emit("a")
    world.emit("b")
    world.emit("a", reason="Other")
    world.emit("a", name="other")
    assert [message for _, message, _ in await world.written()] == ["a.", "b.", "a.", "a."]
    assert len({series.name for series in world.recorder._series.values()}) == 4


async def test_an_event_that_the_server_has_deleted_is_created_again(world: World):
    world.emit()
    await world.written()
    world.seconds = 7200
    world.emit()
    world.failures = [NotFoundError("gone")]
    assert await world.written() == [("patch", None, 2), ("create", "m.", 2)]


async def test_an_object_has_a_budget_of_events_that_refills_slowly(world: World):
    before = dropped("object_limit")
    for number in range(BURST + 3):
        world.emit(f"m{number}")
    world.emit("first", name="other")
    assert len(await world.written()) == BURST + 1
    assert dropped("object_limit") == before + 3
    world.seconds = REFILL_SECONDS
    world.emit("later")
    world.emit("too many")
    assert await world.written() == [("create", "later.", 1)]


async def test_a_repeated_event_that_was_dropped_is_in_the_next_count(world: World):
    for number in range(BURST):
        world.emit(f"m{number}")
    await world.written()
    world.emit("m0")
    assert await world.written() == []
    world.seconds = REFILL_SECONDS
    world.emit("m0")
    assert await world.written() == [("patch", None, 3)]


async def test_the_queue_is_bounded(world: World):
    before = dropped("queue_full")
    for number in range(QUEUE + 5):
        world.emit(name=f"j{number}")
    assert dropped("queue_full") == before + 5
    assert len(await world.written()) == QUEUE


async def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(event_recorder, "REMEMBERED", 10)
    for number in range(50):
        world.emit(name=f"j{number}")
    await world.written()
    assert (len(world.recorder._series), len(world.recorder._budgets)) == (10, 10)
    world.emit(name="j49")
    world.emit(name="j0")
    assert [verb for verb, _, _ in await world.written()] == ["patch", "create"]


async def test_a_server_that_does_not_answer_is_asked_again_and_as_late_as_it_wants(world: World):
    world.failures = [UnavailableError("away"), UnavailableError("busy", retry_after=30.0)]
    world.emit()
    assert await world.written() == [("create", "m.", 1)] * 3
    assert world.slept == [1.0, 30.0]
    names = {series.name for series in world.recorder._series.values()}
    assert len(names) == 1, "the attempts have one name, so that only one of them creates an Event"


async def test_an_attempt_that_took_effect_without_an_answer_is_a_success(world: World):
    world.failures = [UnavailableError("the answer was lost"), AlreadyExistsError("exists")]
    world.emit()
    await world.written()
    world.emit()
    assert await world.written() == [("patch", None, 2)]


@pytest.mark.parametrize(
    ("failures", "reason"),
    [([UnavailableError("away")] * 3, "unavailable"), ([ForbiddenError("the namespace is terminating")], "refused")],
)
async def test_an_event_that_cannot_be_written_is_dropped_and_the_next_one_is_written(
    world: World, failures: list[ClusterError], reason: str
):
    before = dropped(reason)
    world.failures = [*failures]
    world.emit("a")
    world.emit("b")
    assert [message for _, message, _ in await world.written()] == ["a."] * len(failures) + ["b."]
    assert dropped(reason) == before + 1


async def test_no_event_is_written_after_leadership_is_lost(world: World):
    before = dropped("not_leading")
    world.failures = [UnavailableError("away")]
    original = world.sleep

    async def lose_leadership(seconds: float) -> None:
        world.leads = False
        await original(seconds)

    world.recorder._sleep = lose_leadership
    world.emit("a")
    world.emit("b")
    assert [message for _, message, _ in await world.written()] == ["a."]
    assert dropped("not_leading") == before + 2


async def test_a_stop_waits_for_the_queue_only_for_a_bounded_time(world: World):
    before = dropped("stopped")
    world.gate.clear()
    world.emit("a")
    world.emit("b")
    await world.recorder.flush(0.01)
    assert len(world.requests) == 1
    await world.recorder.close()
    assert dropped("stopped") == before + 2
    await world.recorder.close()


class SlowServer:
    """An API server that needs some seconds for each request, and answers or is unavailable."""

    def __init__(self, seconds: float, failure: ClusterError | None = None) -> None:
        self.seconds = seconds
        self.failure = failure
        self.answered = 0

    async def request(self, _request: Request) -> dict[str, Any]:
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        self.answered += 1
        return {}


@pytest.mark.parametrize(
    ("server", "waited", "answered"),
    [
        pytest.param(SlowServer(0.001), 0.3, 300, id="healthy"),
        pytest.param(SlowServer(0.01), FLUSH_SECONDS, 99, id="slow"),
        pytest.param(SlowServer(30), FLUSH_SECONDS, 0, id="does not answer"),
        pytest.param(SlowServer(0.01, UnavailableError("x")), FLUSH_SECONDS, 0, id="unavailable"),
        pytest.param(SlowServer(0.01, UnavailableError("x", retry_after=30)), FLUSH_SECONDS, 0, id="overloaded"),
    ],
)
@in_virtual_time
async def test_the_end_of_a_term_waits_a_second_for_events_whatever_the_api_server_does(
    server: SlowServer, waited: float, answered: int
):
    recorder = EventRecorder(server)
    for number in range(300):
        recorder.emit(job(f"j{number}"), EventType.NORMAL, "Training", "m", may_write=lambda: True)
    started = asyncio.get_running_loop().time()
    await recorder.flush()
    assert asyncio.get_running_loop().time() - started == pytest.approx(waited)
    assert server.answered == pytest.approx(answered, abs=1)
    await recorder.close()


async def test_a_recorder_that_recorded_nothing_stops_at_once(world: World):
    await world.recorder.flush()
    await world.recorder.close()
