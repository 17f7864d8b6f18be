"""Which job of a selector is rolled out: the newest by creation, whatever the order in which jobs finish."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.rollout_world import digest_of, revision_of
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, FINE_TUNE_JOB


def passed_over(world: ServingWorld) -> list[tuple[str, str]]:
    return [(item["name"], item["reason"]) for item in world.status()["passedOverJobs"]]


def last_considered(world: ServingWorld) -> str:
    return str(world.status()["lastConsideredJob"]["name"])


async def start(world: ServingWorld) -> None:
    """Create a slow job, then a fast one, and promote the adapter of the fast one."""
    await world.settle()
    world.put_job("slow", finished=False)
    await world.promote("fast")


async def finish_slow(world: ServingWorld) -> None:
    world.clock.advance(1)
    world.finish_job("slow")
    await world.settle()


async def test_a_job_that_finishes_later_does_not_replace_a_newer_one(world):
    await start(world)
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert world.status()["stable"]["sourceJob"]["name"] == "fast"
    assert passed_over(world) == [("slow", "CreatedEarlier")]
    assert "before FineTuneJob 'fast'" in world.status()["passedOverJobs"][0]["message"]
    writes = len(world.cluster.writes)
    await world.pass_time(30)
    assert len(world.cluster.writes) == writes, "the status is written only when it changes"
    world.clock.advance(1)
    world.put_job("next")
    await world.settle()
    assert world.status()["candidate"]["sourceJob"]["name"] == "next"


async def test_a_job_that_finishes_later_does_not_supersede_a_newer_candidate(world):
    await world.settle()
    world.put_job("slow", finished=False)
    await world.begin_canary("fast")
    await finish_slow(world)
    assert world.status()["candidate"]["revision"] == revision_of("fast")
    assert passed_over(world) == [("slow", "CreatedEarlier")]


async def test_a_job_that_finishes_after_a_newer_one_was_rolled_back_is_passed_over(world):
    await world.settle()
    world.put_job("slow", finished=False)
    world.clock.advance(1)
    world.put_job("fast")
    await world.settle()
    world.finish_evaluation(Verdict.FAIL)
    await world.settle()
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert passed_over(world) == [("slow", "CreatedEarlier")]


async def test_after_a_manual_rollback_an_older_job_does_not_become_the_candidate(world):
    await world.settle()
    await world.promote("first")
    world.clock.advance(1)
    world.put_job("slow", finished=False)
    await world.promote("fast")
    world.annotate("rollback", "first")
    await world.settle()
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == revision_of("first")
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert last_considered(world) == "fast"
    assert passed_over(world) == [("slow", "CreatedEarlier")]


async def test_a_rollback_to_the_newest_revision_keeps_older_jobs_from_replacing_it(world):
    """After the spec has named an older job, the last considered job is older than that of the stable revision."""
    await world.settle()
    await world.promote("first")
    world.clock.advance(1)
    world.put_job("slow", finished=False)
    await world.promote("fast")
    world.edit_deployment(lambda body: body["spec"].update(adapter={"fineTuneJobRef": {"name": "first"}}))
    await world.settle()
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == revision_of("first")
    assert last_considered(world) == "first"
    world.annotate("rollback", "fast")
    await world.settle()
    await world.pass_time(60)
    assert world.status()["stable"]["sourceJob"]["name"] == "fast"
    selector = {"fineTuneJobSelector": {"matchLabels": {"app": "triage"}}}
    world.edit_deployment(lambda body: body["spec"].update(adapter=selector))
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert passed_over(world) == [("slow", "CreatedEarlier")]


async def test_a_considered_job_that_the_selector_no_longer_matches_still_counts(world):
    await start(world)
    world.cluster.edit(FINE_TUNE_JOB, SUPPORT, "fast", lambda body: body["metadata"].update(labels={}))
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert passed_over(world) == [("slow", "CreatedEarlier")]


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_job_that_is_created_again_under_its_name_is_a_newer_job(world, seconds):
    await world.settle()
    world.put_job("first")
    await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of("first")
    world.remove_job("first")
    world.clock.advance(seconds)
    world.put_job("first", digest=digest_of("again"))
    await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of("again")


@pytest.mark.parametrize(("order", "candidate"), [(("first", "second"), "second"), (("second", "first"), "second")])
async def test_of_two_jobs_that_are_created_in_the_same_second_the_last_one_by_name_is_the_newest(
    world, order, candidate
):
    for word in order:
        world.put_job(word)
        await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of(candidate)
    await world.pass_time(10)
    assert last_considered(world) == candidate, "and not the first one again"


async def test_an_adapter_without_a_job_is_followed_by_the_newest_job(world):
    await start(world)
    await finish_slow(world)

    def forget_job(body: dict[str, Any]) -> None:
        del body["status"]["stable"]["sourceJob"]
        del body["status"]["lastConsideredJob"]
        body["status"]["history"] = []
        body["status"]["stable"] |= {"digest": digest_of("uri"), "revision": revision_of("uri")}

    world.cluster.edit(ADAPTER_DEPLOYMENT, SUPPORT, "support", forget_job)
    await world.settle()
    assert world.status()["candidate"]["sourceJob"]["name"] == "fast"


@pytest.mark.parametrize("exists", [True, False])
async def test_the_status_of_an_earlier_version_is_converted_and_no_job_is_considered_again(world, exists):
    await start(world)
    uid, created = (world.status()["lastConsideredJob"][name] for name in ("uid", "creationTime"))

    def downgrade(body: dict[str, Any]) -> None:
        body["status"]["lastConsideredJob"] = {"name": "fast", "uid": uid, "completionTime": world.clock.text}
        del body["status"]["stable"]["sourceJob"]["creationTime"]
        del body["status"]["passedOverJobs"]

    world.cluster.edit(ADAPTER_DEPLOYMENT, SUPPORT, "support", downgrade)
    if not exists:
        world.remove_job("fast")
    converted = {"name": "fast", "uid": uid, "creationTime": created if exists else world.clock.text}
    world.restart_operator()
    await world.settle()
    assert world.status()["lastConsideredJob"] == converted
    await finish_slow(world)
    assert "candidate" not in world.status()
    assert passed_over(world) == [("slow", "CreatedEarlier")]
