"""Which server pods are polled, with which token, and what becomes of the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from support.clusters.fake_cluster import Clock
from support.clusters.fake_pods import FakeServerPods
from support.worlds.driven_poller import DrivenPoller
from tunewright_operator.api.kinds import MODEL_SERVER
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.poller import Outcome
from tunewright_operator.runtime.polling.server_board import PodPoll, ServerBoard
from tunewright_operator.runtime.polling.server_polls import ServerPolls
from tunewright_operator.serving import PodAddress, StateAnswer
from tunewright_operator.signing import SigningKey

SERVER = Key(MODEL_SERVER, "serving", "pool")
UID = "server-uid"
KEY = SigningKey.generate()
PODS = tuple(ServerPod(uid, "serving", f"pod-{uid}", ip=f"10.0.0.{uid}", ready=True) for uid in ("1", "2"))


class Pods(FakeServerPods):
    """Fake pods that record whole addresses and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[PodAddress] = []
        self.tokens: list[str] = []
        self.error: Exception | None = None

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        self.addresses.append(pod)
        self.tokens.append(token)
        if self.error is not None:
            raise self.error
        return await super().fetch_state(pod, token, known)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.driven = DrivenPoller(self.clock)
        self.pods = Pods()
        for pod in PODS:
            self.pods.add(pod.uid)
        self.board = ServerBoard(self.driven.wake)
        self.polls = ServerPolls(self.pods, self.board, self.driven.poller, now=self.clock)

    def follow(self, pods: Iterable[ServerPod] = PODS, uid: str = UID, key: SigningKey = KEY) -> None:
        pods = tuple(pods)
        self.board.read_states(SERVER, uid, pods, self.clock())
        self.polls.follow(SERVER, uid, pods, key)

    async def poll_due(self) -> list[str]:
        """Return the names of the pods that were polled, sorted."""
        count = len(self.pods.addresses)
        await self.driven.poller.poll_due()
        return sorted(address.name for address in self.pods.addresses[count:])

    def last(self, pod_uid: str) -> PodPoll | None:
        return self.board.last_poll(UID, pod_uid)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_pods_of_a_server_are_polled_and_their_states_are_on_the_board(world: World) -> None:
    world.follow()
    assert await world.poll_due() == ["pod-1", "pod-2"]
    assert world.driven.take_woken() == {SERVER}
    assert world.pods.addresses[0] == PodAddress("serving", "pod-1", "1", "10.0.0.1")
    poll = world.last("1")
    assert poll is not None
    assert poll.polled_at == world.clock()
    assert poll.state == world.pods.pods["1"].state()
    assert await world.poll_due() == []
    world.clock.advance(2)
    assert await world.poll_due() == ["pod-1", "pod-2"]


async def test_the_interval_is_the_one_of_the_last_reconciliation(world: World) -> None:
    world.follow()
    await world.poll_due()
    world.polls.set_interval(SERVER, 10)
    world.follow()
    for seconds, polled in ((2, ["pod-1", "pod-2"]), (2, []), (6, ["pod-1", "pod-2"])):
        world.clock.advance(seconds)
        assert await world.poll_due() == polled
    world.polls.set_interval(SERVER, 2)
    world.polls.set_interval(SERVER, 2)
    world.clock.advance(2)
    assert await world.poll_due() == ["pod-1", "pod-2"]
    world.polls.set_interval(Key(MODEL_SERVER, "serving", "other"), 2)


async def test_a_pod_that_cannot_be_called_is_not_polled(world: World) -> None:
    world.follow([PODS[0], dataclasses.replace(PODS[1], ip="")])
    assert await world.poll_due() == ["pod-1"]


async def test_a_pod_that_does_not_answer_is_recorded_as_such(world: World) -> None:
    world.pods.pods["1"].reachable = False
    world.follow()
    await world.poll_due()
    assert world.last("1") == PodPoll(world.clock(), None)
    world.clock.advance(2)
    assert await world.poll_due() == ["pod-1", "pod-2"]
    world.clock.advance(2)
    assert await world.poll_due() == ["pod-2"], "the back-off is 4 s by now"


async def test_after_any_error_the_pod_counts_as_polled(world: World) -> None:
    """The server's loop waits for an outcome."""
    world.pods.error = RuntimeError("a bug")
    world.follow()
    await world.poll_due()
    assert world.last("1") == PodPoll(world.clock(), None)
    assert world.driven.take_woken() == {SERVER}


async def test_a_pod_that_is_gone_is_not_polled_any_more(world: World) -> None:
    world.follow()
    await world.poll_due()
    world.follow(PODS[1:])
    world.clock.advance(2)
    assert await world.poll_due() == ["pod-2"]
    assert len(world.driven.poller) == 1


@pytest.mark.parametrize("change", [{"ready": False}, {"ip": "10.0.0.9"}])
async def test_a_pod_that_changed_is_polled_at_once(world: World, change: dict[str, object]) -> None:
    world.follow()
    await world.poll_due()
    world.follow([dataclasses.replace(PODS[0], **change), PODS[1]])  # type: ignore[arg-type]
    assert await world.poll_due() == ["pod-1"]
    assert world.pods.addresses[-1].ip == change.get("ip", "10.0.0.1")


async def test_an_unchanged_state_keeps_the_answer(world: World) -> None:
    world.follow()
    await world.poll_due()
    first = world.last("1")
    world.clock.advance(2)
    assert await world.polls.poll(SERVER, "1") is Outcome.UNCHANGED
    again = world.last("1")
    assert first is not None
    assert again is not None
    assert again.answer is first.answer
    assert again.polled_at == world.clock()
    world.pods.pods["1"].restart()
    assert await world.polls.poll(SERVER, "1") is Outcome.CHANGED


async def test_a_token_is_used_again_for_a_minute(world: World) -> None:
    world.follow()
    await world.poll_due()
    assert len(set(world.pods.tokens)) == 1
    world.clock.advance(59)
    await world.poll_due()
    assert len(set(world.pods.tokens)) == 1
    world.clock.advance(2)
    await world.poll_due()
    assert len(set(world.pods.tokens)) == 2
    world.follow(key=SigningKey.generate())
    world.clock.advance(2)
    await world.poll_due()
    assert len(set(world.pods.tokens)) == 3


async def test_a_server_of_the_same_name_is_another_one(world: World) -> None:
    world.follow()
    await world.poll_due()
    world.follow(PODS[1:], uid="other-uid")
    assert world.last("2") is None
    assert await world.poll_due() == ["pod-2"]
    assert world.board.last_poll("other-uid", "2") is not None


async def test_a_deleted_server_is_forgotten(world: World) -> None:
    world.follow()
    await world.poll_due()
    world.polls.forget(SERVER)
    world.polls.forget(SERVER)
    world.clock.advance(10)
    assert await world.poll_due() == []
    assert world.last("1") is None
    assert await world.polls.poll(SERVER, "1") is Outcome.UNCHANGED


async def test_an_answer_that_arrives_after_the_pod_was_forgotten_is_dropped(world: World) -> None:
    world.follow()
    fetch = world.pods.fetch_state

    async def forget_meanwhile(pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        world.polls.forget(SERVER)
        world.follow(PODS[1:], uid="other-uid")
        return await fetch(pod, token, known)

    world.pods.fetch_state = forget_meanwhile  # type: ignore[method-assign]
    await world.polls.poll(SERVER, "1")
    assert world.board.last_poll("other-uid", "1") is None


async def test_some_pods_are_polled_at_once(world: World) -> None:
    world.follow()
    await world.poll_due()
    world.clock.advance(1)
    world.pods.calls.clear()
    await world.polls.poll_now(SERVER, [PODS[0], dataclasses.replace(PODS[1], uid="unknown")])
    assert world.pods.calls == [("state", "pod-1")]
    world.polls.hurry(SERVER, [PODS[1], dataclasses.replace(PODS[1], uid="unknown")])
    assert await world.poll_due() == ["pod-2"]
    other = Key(MODEL_SERVER, "serving", "other")
    await world.polls.poll_now(other, PODS)
    world.polls.hurry(other, PODS)
    assert await world.poll_due() == []


async def test_without_leadership_no_pod_is_polled(world: World) -> None:
    world.driven.leading = False
    world.follow()
    assert await world.poll_due() == []
