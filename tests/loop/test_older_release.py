"""An upgrade of the operator from a release whose revisions have names with 12 digits of the digest."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import ServingWorld
from tunewright_contracts import adapter_manifest
from tunewright_contracts.adapter_manifest import OLD_REVISION_DIGITS, is_name_of
from tunewright_contracts.evaluation_report import Verdict


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the older release run; `undo` upgrades it."""
    monkeypatch.setattr(adapter_manifest, "REVISION_DIGITS", OLD_REVISION_DIGITS)
    return monkeypatch


def upgrade(world: ServingWorld, older: pytest.MonkeyPatch) -> None:
    older.undo()
    world.restart_operator()


def old_name(word: str) -> str:
    return revision_of(word)[: len("support--") + OLD_REVISION_DIGITS]


async def test_a_rollout_continues_with_the_names_that_it_began_with(world, older):
    await world.promote("first")
    await world.begin_canary("better")
    world.ask(100)
    await world.pass_time(5)
    before, plan, loaded = world.status(), world.plan, [pod.loaded for pod in world.pool.servers()]
    assert (before["stable"]["revision"], before["candidate"]["revision"]) == (old_name("first"), old_name("better"))

    upgrade(world, older)
    await world.settle()
    assert world.plan == plan, "no pod loads or unloads anything"
    assert [pod.loaded for pod in world.pool.servers()] == loaded
    after = world.status()
    assert after["stable"] == before["stable"]
    assert after["candidate"]["step"] == before["candidate"]["step"]
    assert after["candidate"]["stepStartedAt"] == before["candidate"]["stepStartedAt"]

    await world.pass_windows()
    assert world.status()["stable"]["revision"] == old_name("better")
    await world.promote("best")
    assert is_name_of(world.status()["stable"]["revision"], world.status()["stable"]["digest"])
    assert [entry["revision"] for entry in world.status()["history"]] == [
        revision_of("best"),
        old_name("better"),
        old_name("first"),
    ]


async def test_an_evaluation_that_runs_is_not_started_again(world, older):
    await world.promote("first")
    world.put_job("better")
    await world.settle()
    job = world.evaluation_job()
    upgrade(world, older)
    await world.settle()
    assert world.evaluation_job()["metadata"]["uid"] == job["metadata"]["uid"]
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {old_name("first"): 80, old_name("better"): 20}


@pytest.mark.parametrize("digits", ["old", "new"])
async def test_a_revision_that_was_rolled_back_is_not_tried_again_but_on_request(world, older, digits):
    await world.promote("first")
    world.put_job("better")
    await world.settle()
    world.finish_evaluation(Verdict.FAIL)
    await world.settle()
    upgrade(world, older)
    await world.settle()
    assert "candidate" not in world.status(), "the new name is that of the same adapter"
    name = {"old": old_name, "new": revision_of}[digits]("better")

    def name_job(body):
        body["spec"]["adapter"] = {"fineTuneJobRef": {"name": "better"}}
        body["metadata"]["annotations"] = {"tunewright.dev/retry": f"{name}@1"}

    world.edit_deployment(name_job)
    await world.settle()
    assert world.status()["candidate"]["revision"] == name


async def test_a_rollback_to_a_revision_of_the_older_release(world, older):
    await world.promote("first")
    await world.promote("better")
    upgrade(world, older)

    def roll_back(body):
        body["metadata"]["annotations"] = {"tunewright.dev/rollback": f"{old_name('first')}@1"}

    world.edit_deployment(roll_back)
    await world.settle()
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == old_name("first")
