"""The newest states of pods and the newest plans of servers, and who is woken by a difference."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from support.worlds.rollout_world import digest_of
from support.worlds.server_observations import PLAN, PODS, make_state
from tunewright_contracts.serving_plan import AdapterPhase, AdapterState, PodState, RevisionCounters, Route, Target
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, MODEL_SERVER
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.serving.claim import Refusal, Refusals
from tunewright_operator.domain.serving.pods import EngineFacts
from tunewright_operator.domain.serving.polling import Interest, PollPlan
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.polling.server_board import (
    MAX_SNAPSHOT_AGE_SECONDS,
    MAX_STATE_AGE_SECONDS,
    PodPoll,
    ServerBoard,
    ServerSnapshot,
)
from tunewright_operator.serving import StateAnswer

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UID = "server-uid"
SERVER = Key(MODEL_SERVER, "serving", "pool")
ONE, TWO = (Key(ADAPTER_DEPLOYMENT, "team", name) for name in ("one", "two"))
INTERESTS = (
    Interest("1", "team", "one", "one", frozenset({"one--1"}), observes=True),
    Interest("2", "team", "two", "two", frozenset({"two--1"})),
)
ROUTED = PLAN.updated(
    routes=tuple(
        Route(alias=name, namespace="team", owner_uid=uid, targets=(Target(name=f"{name}--1", weight=100),))
        for uid, name in (("1", "one"), ("2", "two"))
    )
)


def after(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def answered(seconds: float, state: PodState) -> PodPoll:
    return PodPoll(after(seconds), StateAnswer(state))


def snapshot(seconds: float = 0, **changes: Any) -> ServerSnapshot:
    found = ServerSnapshot(after(seconds), ROUTED, PODS, {}, PollPlan(2, INTERESTS, frozenset({"old--1"})))
    return dataclasses.replace(found, **changes)


class Board:
    """A board with the keys that it woke since the last check."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.board = ServerBoard(self.wake)

    def wake(self, key: Key, urgency: Urgency) -> None:
        assert urgency is Urgency.CHILD
        self.woken.append(key)

    def take(self) -> set[Key]:
        woken, self.woken = set(self.woken), []
        return woken

    def poll(self, seconds: float, uid: str, **changes: Any) -> set[Key]:
        """Record a state of a pod; return who was woken."""
        self.board.record(UID, uid, answered(seconds, make_state(uid).updated(**changes)))
        return self.take()


@pytest.fixture
def board() -> Board:
    """Return a board that knows a server and has polled its two pods; no loop waits."""
    made = Board()
    made.board.read_states(SERVER, UID, PODS, NOW)
    for pod in PODS:
        made.poll(0, pod.uid)
    made.board.read_states(SERVER, UID, PODS, NOW)
    made.board.publish(UID, snapshot())
    made.take()
    return made


def test_a_server_waits_until_each_of_its_pods_was_polled_once() -> None:
    board = Board()
    pods = (*PODS, dataclasses.replace(PODS[0], uid="c", ip=""))
    assert board.board.read_states(SERVER, UID, pods, NOW) is None
    assert board.poll(0, "a") == set()
    board.board.record(UID, "b", PodPoll(after(1), None))
    assert board.take() == {SERVER}, "also after a poll without an answer"
    states = board.board.read_states(SERVER, UID, pods, after(1))
    assert states is not None
    assert set(states) == {"a"}


def test_a_server_waits_for_states_that_are_not_too_old(board: Board) -> None:
    late = MAX_STATE_AGE_SECONDS + 1
    assert board.board.read_states(SERVER, UID, PODS, after(late - 1)) is not None
    assert board.board.read_states(SERVER, UID, PODS, after(late)) is None
    assert board.poll(late, "a") == set()
    assert board.poll(late, "b") == {SERVER}


def test_a_pod_that_did_not_answer_stays_so_until_the_next_poll(board: Board) -> None:
    board.board.record(UID, "a", PodPoll(after(1), None))
    board.poll(300, "b")
    states = board.board.read_states(SERVER, UID, PODS, after(300))
    assert states is not None
    assert set(states) == {"b"}


def test_a_rollout_gets_the_plan_of_the_last_reconciliation_and_the_newest_states(board: Board) -> None:
    board.poll(3, "a", plan_generation=2)
    reading = board.board.read(UID, after(4), ONE)
    assert reading is not None
    assert reading.plan == ROUTED
    assert [(pod.uid, pod.ready, pod.generation, pod.read_at) for pod in reading.pods] == [
        ("a", True, 2, after(3)),
        ("b", True, 3, after(0)),
    ]
    board.board.record(UID, "a", PodPoll(after(5), None))
    reading = board.board.read(UID, after(6), ONE)
    assert reading is not None
    assert [pod.state is None for pod in reading.pods] == [True, False]


def test_an_unchanged_state_is_read_again(board: Board) -> None:
    last = board.board.last_poll(UID, "a")
    assert last is not None
    board.board.record(UID, "a", PodPoll(after(9), last.answer))
    assert board.take() == set()
    reading = board.board.read(UID, after(9), ONE)
    assert reading is not None
    assert [pod.read_at for pod in reading.pods] == [after(9), after(0)]


def test_a_pod_that_cannot_be_called_any_more_has_no_state(board: Board) -> None:
    gone = dataclasses.replace(PODS[0], ip="", ready=False)
    board.board.publish(UID, snapshot(1, pods=(gone, PODS[1])))
    reading = board.board.read(UID, after(1), ONE)
    assert reading is not None
    assert [pod.state is None for pod in reading.pods] == [True, False]


def test_a_rollout_waits_for_its_server_and_is_woken() -> None:
    board = Board()
    assert board.board.read(UID, NOW, ONE) is None
    board.board.read_states(SERVER, UID, PODS, NOW)
    for pod in PODS:
        board.poll(0, pod.uid)
    board.take()
    board.board.publish(UID, snapshot(polls=PollPlan(2)))
    assert board.take() == {ONE}
    assert board.board.read(UID, NOW, ONE) is not None


def test_a_rollout_waits_for_states_that_are_not_too_old(board: Board) -> None:
    late = MAX_STATE_AGE_SECONDS + 1
    assert board.board.read(UID, after(late), ONE) is None
    last = {pod.uid: board.board.last_poll(UID, pod.uid) for pod in PODS}
    for pod in PODS:
        poll = last[pod.uid]
        assert poll is not None
        board.board.record(UID, pod.uid, PodPoll(after(late), poll.answer))
    assert board.woken == [ONE], "once, although nothing has changed"
    assert board.board.read(UID, after(late), TWO) is not None


def test_a_server_that_is_not_reconciled_is_not_seen(board: Board) -> None:
    late = MAX_SNAPSHOT_AGE_SECONDS + 1
    for seconds in (late - 1, late):
        for pod in PODS:
            board.poll(seconds, pod.uid)
        assert (board.board.read(UID, after(seconds), ONE) is not None) == (seconds < late)
    board.board.publish(UID, snapshot(late))
    assert ONE in board.take()


def test_a_forgotten_server_is_not_known(board: Board) -> None:
    board.board.forget(UID)
    board.board.forget("unknown")
    assert board.board.last_poll(UID, "a") is None
    assert board.poll(1, "a") == set()
    assert board.board.find_states(UID, ["a"]) == {}
    assert board.board.read(UID, NOW, ONE) is None


def test_polls_of_pods_that_are_gone_are_dropped(board: Board) -> None:
    board.board.publish(UID, snapshot(1, pods=PODS[1:]))
    assert board.board.last_poll(UID, "a") is None
    assert board.board.last_poll(UID, "b") is not None


def loaded(*names: str) -> dict[str, Any]:
    return {
        "adapters": tuple(AdapterState(name=name, digest=digest_of(name), phase=AdapterPhase.LOADED) for name in names)
    }


@pytest.mark.parametrize(
    ("changes", "woken"),
    [
        ({}, set()),
        ({"peak_memory_mebibytes": 3}, set()),
        ({"plan_generation": 2}, {SERVER, ONE, TWO}),
        ({"settled": True}, {SERVER}),
        (loaded("one--1"), {SERVER, ONE}),
        (loaded("two--1"), {SERVER, TWO}),
        (loaded("third--1"), {SERVER}),
        ({"counters": (RevisionCounters(alias="one", revision="one--1", answers=1),)}, {ONE}),
        ({"counters": (RevisionCounters(alias="two", revision="two--1", answers=1),)}, set()),
        ({"boot_id": "b"}, {SERVER, ONE}),
    ],
    ids=[
        "nothing", "memory", "an older plan", "settled", "the first alias", "the second alias", "another alias",
        "evidence", "no window is open", "a restart in a window",
    ],
)  # fmt: skip
def test_who_is_woken_by_a_poll(board: Board, changes: dict[str, Any], woken: set[Key]) -> None:
    assert board.poll(1, "a", **changes) == woken
    assert board.poll(2, "a", **changes) == set(), "only once"


def test_who_is_woken_when_a_pod_stops_answering_and_when_it_answers_again(board: Board) -> None:
    board.board.record(UID, "a", PodPoll(after(1), None))
    assert board.take() == {SERVER, ONE, TWO}
    board.board.record(UID, "a", PodPoll(after(3), None))
    assert board.take() == set()
    assert board.poll(7, "a") == {SERVER, ONE, TWO}


def test_the_end_of_the_last_request_to_an_adapter_that_leaves_wakes_the_server(board: Board) -> None:
    adapter = AdapterState(name="old--1", digest=digest_of("old"), phase=AdapterPhase.DRAINING, in_flight=2)
    assert board.poll(1, "a", adapters=(adapter,)) == {SERVER}
    assert board.poll(2, "a", adapters=(adapter.updated(in_flight=1),)) == set()
    assert board.poll(3, "a", adapters=(adapter.updated(in_flight=0),)) == {SERVER}


NEW_ROUTES = (ROUTED.routes[0].updated(targets=()), ROUTED.routes[1])
REFUSED = {"2": Refusals(alias=Refusal(Why.PLAN_TOO_LARGE, "too large"))}
THIRD = Interest("3", "team", "three")


@pytest.mark.parametrize(
    ("changes", "woken"),
    [
        ({}, set()),
        ({"plan": ROUTED.updated(routes=NEW_ROUTES)}, {ONE}),
        ({"plan": ROUTED.updated(generation=4)}, {ONE, TWO}),
        ({"refusals": REFUSED}, {TWO}),
        ({"pods": PODS[:1]}, {ONE, TWO}),
        ({"pods": (PODS[0], dataclasses.replace(PODS[1], ready=False))}, {ONE, TWO}),
        ({"polls": PollPlan(2, (*INTERESTS, THIRD))}, {Key(ADAPTER_DEPLOYMENT, "team", "three")}),
        ({"polls": PollPlan(10, INTERESTS)}, set()),
        ({"engine": EngineFacts("sha256:1", everywhere=True)}, {ONE, TWO}),
    ],
    ids=[
        "nothing", "targets of one alias", "a plan that the pods lack", "a refusal", "a pod is gone",
        "a pod is not ready", "another deployment", "another interval", "another engine",
    ],
)  # fmt: skip
def test_who_is_woken_by_a_reconciliation(board: Board, changes: dict[str, Any], woken: set[Key]) -> None:
    board.board.publish(UID, snapshot(1, **changes))
    assert board.take() == woken
    board.board.publish(UID, snapshot(2, **changes))
    assert board.take() == set()


def test_a_deployment_of_the_same_name_is_another_one(board: Board) -> None:
    board.board.publish(UID, snapshot(1, polls=PollPlan(2, INTERESTS[:1])))
    again = dataclasses.replace(INTERESTS[1], uid="3")
    board.board.publish(UID, snapshot(2, polls=PollPlan(2, (INTERESTS[0], again))))
    assert board.take() == {TWO}
