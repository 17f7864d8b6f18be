"""A rollout whose operator is killed after any write ends as it does without the kill."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, get_args

import pytest

from support.clusters.fake_cluster import FakeCluster
from support.clusters.feeds import StoreFeed, UnreliableFeed
from support.examples import spread
from support.worlds.rollout_world import BASE_DIGEST, digest_of, revision_of
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, SECRET
from tunewright_operator.domain.rollout.actions import RolloutAction
from tunewright_operator.reconcile import adapter_deployment
from tunewright_operator.runtime.key import Key

Stage = Callable[[ServingWorld], Awaitable[None]]
"""One part of a rollout; everything it needs is in the world."""


def stages_of(word: str, course: str) -> tuple[Stage, ...]:
    """Return the stages that bring a new job's adapter to the end of its rollout."""

    async def job_succeeds(world: ServingWorld) -> None:
        world.put_job(word)
        await world.settle()

    async def evaluation_ends(world: ServingWorld) -> None:
        world.finish_evaluation(Verdict.FAIL if course == "refused" else Verdict.PASS)
        await world.settle()
        if course == "aborted":
            world.annotate("abort", word)

    async def clients_ask(world: ServingWorld) -> None:
        world.ask(400, bad={revision_of(word): {"ErrorRate"}} if course == "broken" else None)
        await world.pass_time(5)

    async def bake_ends(world: ServingWorld) -> None:
        await world.pass_time(60)

    return job_succeeds, evaluation_ends, clients_ask, clients_ask, bake_ends


async def play_address(world: ServingWorld) -> None:
    """Name an adapter by a URI whose first inspection fails.
    Its evaluation takes longer than a token is valid, and then fails.
    """
    word = "second"
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


def describe(world: ServingWorld) -> dict[str, Any]:
    """Return the end of a rollout."""
    status = world.status()
    assert world.list_jobs("evaluate") == [], "an evaluation Job is left although no step needs it"
    return {
        "stable": status.get("stable", {}).get("revision"),
        "history": [(item["revision"], item["outcome"], item["from"], item["to"]) for item in status["history"]],
        "conditions": [(item["type"], item["status"], item["reason"]) for item in status["conditions"]],
        "answers": status.get("storedAnswers"),
        "targets": world.targets(),
        "loaded": [sorted(pod.loaded) for pod in world.pool.servers()],
        "jobs": len(world.jobs.names()),
        "keys": len([body for body in world.cluster.bodies(SECRET) if body.get("immutable")]),
    }


async def begin(has_incumbent: bool, feed: Callable[[FakeCluster], StoreFeed] = StoreFeed) -> ServingWorld:
    world = ServingWorld(feed=feed)
    world.put_deployment()
    if has_incumbent:
        await world.settle()
        await world.promote("first")
        world.restart_operator()
    return world


async def play(world: ServingWorld, stages: tuple[Stage, ...]) -> list[ServingWorld]:
    """Play all stages; return a copy of the world from before each stage."""
    before = []
    for stage in stages:
        before.append(copy.deepcopy(world))
        await stage(world)
    return before


async def kill_after_writes(
    calm: ServingWorld, before: list[ServingWorld], stages: tuple[Stage, ...], number: int
) -> None:
    """Play again with one kill after a write, for `number` writes, and compare each result with the one without a kill.

    `make test-full` kills after each write.
    Before the stage with the kill, both are the same, so each run starts from the copy of that stage.
    """
    expected = describe(calm)
    first, last = len(before[0].cluster.writes), len(calm.cluster.writes)
    assert last - first > 10
    for write in spread(range(first + 1, last), number):
        begin_at = max(index for index, world in enumerate(before) if len(world.cluster.writes) < write)
        world = copy.deepcopy(before[begin_at])
        world.cluster.crash_after = write - len(world.cluster.writes)
        for stage in stages[begin_at:]:
            await stage(world)
        assert world.crashes == 1, write
        assert describe(world) == expected, f"killed after write {write}"


COURSES = {
    "promoted": ("second", "Promoted"),
    "refused": ("first", "RolledBack"),
    "broken": ("first", "RolledBack"),
    "aborted": ("first", "Aborted"),
}


@pytest.mark.parametrize(
    ("course", "has_incumbent", "kills"),
    [("promoted", True, 40), ("promoted", False, 13), ("refused", True, 7), ("broken", True, 8), ("aborted", True, 8)],
)
async def test_an_operator_killed_after_any_write_reaches_the_same_result(course, has_incumbent, kills):
    calm, stages = await begin(has_incumbent), stages_of("second", course)
    before = await play(calm, stages)
    expected = describe(calm)
    stable, outcome = COURSES[course]
    assert expected["stable"] == revision_of(stable)
    assert expected["history"][0][:2] == (revision_of("second"), outcome)
    await kill_after_writes(calm, before, stages, kills)


@pytest.mark.parametrize(("course", "has_incumbent"), [("promoted", False), *((course, True) for course in COURSES)])
async def test_a_killed_operator_reaches_the_same_result_with_an_unreliable_feed(course, has_incumbent):
    calm, stages = await begin(has_incumbent), stages_of("second", course)
    await play(calm, stages)
    for seed in spread(range(6), 2):
        world = await begin(has_incumbent, partial(UnreliableFeed, seed=seed))
        # No kill at first; then one after each fourth write of the rollout.
        world.cluster.crash_after = 4 * seed or None
        await play(world, stages)
        world.cluster.crash_after = None
        end, expected = describe(world), describe(calm)
        # An evaluation that begins before the store knows that all pods run one engine leaves no answers to reuse.
        assert end.pop("answers") in (expected.pop("answers"), [])
        assert end == expected, seed


async def test_an_operator_killed_after_any_write_of_any_action_reaches_the_same_result(monkeypatch):
    """This rollout needs every action on Jobs."""
    calm, stages = await begin(has_incumbent=True), (play_address,)
    with monkeypatch.context() as spy:
        executed = record_actions(spy)
        before = await play(calm, stages)
    expected = describe(calm)
    assert executed == set(get_args(RolloutAction)), "this rollout lacks an action"
    assert expected["stable"] == revision_of("first")
    assert expected["history"][0][:2] == (revision_of("second"), "RolledBack")
    await kill_after_writes(calm, before, stages, 12)


def record_actions(spy: pytest.MonkeyPatch) -> set[type]:
    """Return a set that grows by the type of each action that is decided."""
    decide, found = adapter_deployment.decide, set()

    def record(situation: Any, now: Any) -> Any:
        decision = decide(situation, now)
        found.update(type(action) for action in decision.actions)
        return decision

    spy.setattr(adapter_deployment, "decide", record)
    return found


async def test_observing_writes_nothing_while_actions_are_due():
    """An inspection is to be created and an evaluation to be removed; observing does neither."""
    world = await begin(has_incumbent=True)
    world.put_job("second")
    await world.settle()
    world.annotate("abort", "second")
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/third"}))
    writes, events = list(world.cluster.writes), list(world.cluster.events)
    key = Key(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    found = world.feed.reads.observe_adapter_deployment(SUPPORT, "support")
    situation = await world.rollouts._observe(key, found.resource)
    assert situation.inspection is None
    assert len(situation.evaluations) == 1
    assert (world.cluster.writes, world.cluster.events) == (writes, events)
