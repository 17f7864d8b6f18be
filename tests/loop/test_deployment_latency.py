"""The latency limit of a candidate comes from the incumbent and stays the same for the rollout."""

from __future__ import annotations

from support.worlds.rollout_world import revision_of
from tunewright_contracts.evaluation_report import Verdict


async def test_the_slow_limit_is_fixed_before_the_window_and_stays(world):
    await world.settle()
    await world.promote("first")
    world.ask(200)
    world.clock.advance(1)
    world.put_job("second")
    await world.settle()
    (route,) = world.plan.routes
    assert route.slow_after_milliseconds is not None
    limit = route.slow_after_milliseconds
    for pod in world.pool.servers():
        pod.counters["support", revision_of("first")].latency[40] += 5000
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    (route,) = world.plan.routes
    assert route.slow_after_milliseconds == limit
    assert route.count_by_key_bucket
    assert "Latency" in world.status()["candidate"]["observation"]["metrics"]


async def test_a_slow_candidate_is_rolled_back_by_latency(world):
    await world.settle()
    await world.promote("first")
    world.ask(200)
    await world.begin_canary("slow")
    world.ask(400, bad={revision_of("slow"): {"Latency"}})
    await world.pass_time(5)
    await world.pass_time(5)
    entry = world.status()["history"][0]
    assert (entry["outcome"], entry["reason"]) == ("RolledBack", "GuardrailFailed")
    assert entry["message"].startswith("Latency: bad answers ")
    assert world.targets() == {revision_of("first"): 100}


async def test_the_step_passed_event_shows_why_latency_was_not_judged(world):
    await world.settle()
    await world.begin_canary("first")
    world.ask(50)
    await world.pass_time(5)
    passed = [event[3] for event in world.cluster.events if event[2] == "StepPassed"]
    assert passed[-1].endswith("Latency is not judged: there is no incumbent to compare with")
