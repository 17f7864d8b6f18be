"""A rollout whose operator dies after any write reaches the end that it reaches undisturbed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import ServingWorld
from tunewright_contracts.evaluation_report import Verdict


async def play_rollout(world: ServingWorld, word: str, course: str = "promoted") -> dict[str, Any]:
    """Bring a new job's adapter to its end, and return all that must not depend on the operator's deaths."""
    world.put_job(word)
    await world.settle()
    world.finish_evaluation(Verdict.FAIL if course == "refused" else Verdict.PASS)
    await world.settle()
    if course == "aborted":
        world.annotate("abort", word)
    for _ in range(2):
        world.ask(400, bad={revision_of(word): {"ErrorRate"}} if course == "broken" else None)
        await world.pass_time(5)
    await world.pass_time(60)
    status = world.status()
    return {
        "stable": status.get("stable", {}).get("revision"),
        "history": [(item["revision"], item["outcome"], item["from"], item["to"]) for item in status["history"]],
        "conditions": [(item["type"], item["status"], item["reason"]) for item in status["conditions"]],
        "targets": world.targets(),
        "loaded": [sorted(pod.loaded) for pod in world.pool.servers()],
        "jobs": len(world.jobs.names()),
    }


async def begin(has_incumbent: bool) -> ServingWorld:
    world = ServingWorld()
    world.put_deployment()
    if has_incumbent:
        await world.settle()
        await world.promote("first")
        world.restart_operator()
    return world


COURSES = {
    "promoted": ("second", "Promoted"),
    "refused": ("first", "RolledBack"),
    "broken": ("first", "RolledBack"),
    "aborted": ("first", "Aborted"),
}


@pytest.mark.parametrize(("course", "has_incumbent"), [("promoted", False), *((course, True) for course in COURSES)])
async def test_an_operator_killed_after_any_write_reaches_the_same_end(course, has_incumbent):
    start = await begin(has_incumbent)
    calm = copy.deepcopy(start)
    expected = await play_rollout(calm, "second", course)
    stable, outcome = COURSES[course]
    assert expected["stable"] == revision_of(stable)
    assert expected["history"][0][:2] == (revision_of("second"), outcome)
    writes = len(calm.cluster.writes) - len(start.cluster.writes)
    assert writes > 10
    for number in range(1, writes):
        world = copy.deepcopy(start)
        world.cluster.crash_after = number
        end = await play_rollout(world, "second", course)
        assert world.crashes == 1, number
        assert end == expected, f"killed after write {number}"
