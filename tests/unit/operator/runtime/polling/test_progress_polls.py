"""The newest progress of each running training."""

from __future__ import annotations

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.driven_poller import DrivenPoller
from support.worlds.job_worlds import FakeTrainers, progress
from tunewright_contracts.progress import Phase
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.poller import Outcome
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls

JOB = Key(FINE_TUNE_JOB, "team", "job")
IP = "10.0.0.7"


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.driven = DrivenPoller(self.clock)
        self.trainers = FakeTrainers()
        self.polls = ProgressPolls(self.trainers, self.driven.poller, self.driven.wake)

    async def poll_due(self) -> int:
        """Return how many trainers were polled."""
        asked = self.trainers.asked
        await self.driven.poller.poll_due()
        return self.trainers.asked - asked


@pytest.fixture
def world() -> World:
    return World()


async def test_a_trainer_is_polled_every_five_seconds_and_its_job_woken_by_news(world: World) -> None:
    world.trainers.answers[IP] = progress(1)
    assert world.polls.follow(JOB, "pod", IP) is None
    assert await world.poll_due() == 1
    assert world.driven.take_woken() == {JOB}
    assert world.polls.follow(JOB, "pod", IP) == progress(1)
    world.clock.advance(4)
    assert await world.poll_due() == 0
    world.clock.advance(1)
    world.trainers.answers[IP] = progress(1).updated(updated_at="2026-01-01T00:01:00Z")
    assert await world.poll_due() == 1
    assert world.driven.take_woken() == set(), "only the time of the report is new"
    world.clock.advance(5)
    world.trainers.answers[IP] = progress(1, Phase.EVALUATING)
    await world.poll_due()
    assert world.driven.take_woken() == {JOB}


async def test_a_trainer_that_does_not_answer_has_no_progress(world: World) -> None:
    world.trainers.answers[IP] = progress(1)
    world.polls.follow(JOB, "pod", IP)
    await world.poll_due()
    world.driven.take_woken()
    del world.trainers.answers[IP]
    world.clock.advance(5)
    await world.poll_due()
    assert world.polls.follow(JOB, "pod", IP) is None
    assert world.driven.take_woken() == set()
    world.trainers.answers[IP] = progress(1)
    world.clock.advance(2)
    await world.poll_due()
    assert world.driven.take_woken() == {JOB}


@pytest.mark.parametrize("pod", [("another", IP), ("pod", "10.0.0.8")])
async def test_the_progress_of_another_pod_is_another_one(world: World, pod: tuple[str, str]) -> None:
    world.trainers.answers = {IP: progress(1), "10.0.0.8": progress(2)}
    world.polls.follow(JOB, "pod", IP)
    await world.poll_due()
    assert world.polls.follow(JOB, *pod) is None
    assert await world.poll_due() == 1
    assert world.polls.follow(JOB, *pod) == world.trainers.answers[pod[1]]


async def test_a_job_without_a_running_trainer_is_forgotten(world: World) -> None:
    world.polls.follow(JOB, "pod", IP)
    world.polls.forget(JOB)
    world.polls.forget(JOB)
    assert await world.poll_due() == 0
    assert await world.polls.poll(JOB) is Outcome.UNCHANGED
    assert world.trainers.asked == 0
