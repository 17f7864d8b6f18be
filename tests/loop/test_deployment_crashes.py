"""A rollout whose operator dies after any write reaches the end that it reaches undisturbed."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest

from support.worlds.rollout_world import BASE_DIGEST, digest_of, revision_of
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, SECRET
from tunewright_operator.domain.rollout.actions import RolloutAction
from tunewright_operator.reconcile import adapter_deployment

Play = Callable[[ServingWorld], Awaitable[dict[str, Any]]]


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
    return describe(world)


async def play_address(world: ServingWorld, word: str) -> dict[str, Any]:
    """Name an adapter by an address that is readable at the second try; its evaluation outlasts a token, and refuses it."""
    uri = f"s3://models/adapters/support/{word}"
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": uri}))
    await world.settle()
    first = world.inspection_job()["metadata"]
    failure = PhaseResult(outcome=Outcome.FAILED, reason="NoManifest", message=f"{uri} has no manifest.json")
    world.jobs.start(first["name"])
    world.jobs.finish(first["name"], failure, exit_code=1)
    await world.pass_time(300)
    second = world.inspection_job()["metadata"]
    assert (second["name"], second["uid"] != first["uid"]) == (first["name"], True)
    summary = AdapterSummary(
        uri=uri,
        digest=digest_of(word),
        rank=8,
        bytes=1,
        base_model_digest=BASE_DIGEST,
        evaluation_dataset_uri="s3://models/evaluation.jsonl",
    )
    found = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", adapter=summary)
    world.jobs.start(second["name"])
    world.jobs.finish(second["name"], found)
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    await world.pass_time(300)
    token = world.cluster.peek(SECRET, SUPPORT, name)["metadata"]
    assert token["annotations"]["tunewright.dev/issued-at"] == world.clock.text, "the token was not renewed"
    world.finish_evaluation(Verdict.FAIL)
    await world.settle()
    return describe(world)


def describe(world: ServingWorld) -> dict[str, Any]:
    """Return the end of a rollout."""
    status = world.status()
    assert world.list_jobs("evaluate") == [], "an evaluation is left that no step waits for"
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


async def kill_after_every_write(start: ServingWorld, expected: dict[str, Any], writes: int, play: Play) -> None:
    """Play on copies of a world, with one death each, and compare the end of each with the undisturbed one."""
    assert writes > 10
    for number in range(1, writes):
        world = copy.deepcopy(start)
        world.cluster.crash_after = number
        end = await play(world)
        assert world.crashes == 1, number
        assert end == expected, f"killed after write {number}"


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
    await kill_after_every_write(start, expected, writes, lambda world: play_rollout(world, "second", course))


async def test_an_operator_killed_after_any_write_of_any_action_reaches_the_same_end(monkeypatch):
    """The actions on Jobs: this rollout needs each of them."""
    start = await begin(has_incumbent=True)
    calm = copy.deepcopy(start)
    with monkeypatch.context() as spy:
        executed = record_actions(spy)
        expected = await play_address(calm, "second")
    assert executed == set(get_args(RolloutAction)), "an action without a test that kills the operator after it"
    assert expected["stable"] == revision_of("first")
    assert expected["history"][0][:2] == (revision_of("second"), "RolledBack")
    writes = len(calm.cluster.writes) - len(start.cluster.writes)
    await kill_after_every_write(start, expected, writes, lambda world: play_address(world, "second"))


def record_actions(spy: pytest.MonkeyPatch) -> set[type]:
    """Return the set to which the types of all actions that are decided from now on are added."""
    decide, found = adapter_deployment.decide, set()

    def record(situation: Any, now: Any) -> Any:
        decision = decide(situation, now)
        found.update(type(action) for action in decision.actions)
        return decision

    spy.setattr(adapter_deployment, "decide", record)
    return found


async def test_observing_writes_nothing_where_everything_is_due():
    """A new operator that only observes leaves an unread address and an obsolete evaluation as they are."""
    world = await begin(has_incumbent=True)
    world.put_job("second")
    await world.settle()
    world.annotate("abort", "second")
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/third"}))
    writes, events = list(world.cluster.writes), list(world.cluster.events)
    situation = await world.rollouts._observe(world.cluster.peek(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    assert situation.inspection is None
    assert len(situation.evaluations) == 1
    assert (world.cluster.writes, world.cluster.events) == (writes, events)
