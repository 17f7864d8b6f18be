"""The demo's view of the cluster, from the objects of the API server."""

from __future__ import annotations

from support.worlds.demo_objects import NEW, config_map
from tunewright_contracts.serving_plan import PLAN_KEY
from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.rollouts import read_time
from tunewright_dev.demo.observed.world import (
    EvaluationProgress,
    Source,
    World,
    find_condition,
    read_evaluation,
    read_generations,
    read_plan,
)


def test_a_plan_is_read_with_the_shares_above_zero_and_the_second_of_its_last_write():
    written = read_time("2026-01-01T00:00:10Z")
    plan = read_plan(config_map(7, {"support--aaa": 100, NEW: 0}), at=written + 0.7)
    assert (plan.generation, plan.earliest, plan.observed) == (7, written, written + 0.7)
    assert plan.shares == {"support": {"support--aaa": 100}}


def test_with_a_slow_clock_a_write_is_not_after_its_observation():
    written = read_time("2026-01-01T00:00:10Z")
    assert read_plan(config_map(7, {}), at=written - 5).earliest == written - 5


def test_an_object_without_a_plan_gives_none():
    assert read_plan({"metadata": {}, "data": {}}, at=1) is None
    assert read_plan({"metadata": {}, "data": {PLAN_KEY: "{}"}}, at=1) is None


def test_pods_without_a_plan_report_no_generation():
    pods = [
        {"name": "a", "ready": True, "planGeneration": 3},
        {"name": "starting", "ready": False, "planGeneration": 0},
        {"name": "ending", "ready": False, "planGeneration": 2},
    ]
    assert read_generations({"status": {"pods": pods}}) == {"a": 3, "ending": 2}
    assert read_generations({}) == {}


def test_events_become_one_view():
    world = World("support")
    at = read_time("2026-01-01T00:00:11Z")
    world.absorb(Event(Source.PLAN, at, config_map(1, {NEW: 100})))
    world.absorb(
        Event(Source.SERVER, at + 1, {"status": {"pods": [{"name": "a", "ready": True, "planGeneration": 1}]}})
    )
    assert world.ledger.serves_everywhere("support")
    line = {"number": 1, "start": at, "end": at + 2, "session": "s", "kind": "ticket", "status": 200}
    world.absorb(Event(Source.CUSTOMERS, at, {**line, "revision": NEW, "model": "support", "answer": "{}"}))
    world.tally.judge()
    assert (world.tally.total, world.tally.wrong) == (1, [])
    for used in (5, 9, 7):
        world.absorb(Event(Source.MEMORY, at, {"a": used}))
    assert world.peak_memory == {"a": 9}
    world.absorb(Event(Source.JOBS, at, {"metadata": {"name": "j"}}))
    world.absorb(Event(Source.JOBS, at, {"metadata": {"name": "j"}}, deleted=True))
    assert world.jobs == {}
    assert not world.customers_ended
    world.absorb(Event(Source.CUSTOMERS, at, ended=True))
    assert world.customers_ended


def test_a_condition_of_an_older_generation_does_not_count():
    body = {"metadata": {"generation": 2}, "status": {"conditions": [{"type": "Ready", "observedGeneration": 1}]}}
    assert find_condition(body, "Ready") == {}
    body["status"]["conditions"][0]["observedGeneration"] = 2
    assert find_condition(body, "Ready")["type"] == "Ready"
    assert find_condition(None, "Ready") == {}


def test_answers_during_the_measurement_are_counted_once_and_separately():
    world = World("support")
    line = {"start": 1, "end": 2, "session": "s", "kind": "ticket", "status": 200, "tokens": 16}
    for number in (1, 2, 1, 2, 3):
        world.absorb(Event(Source.SPEED, 1, {**line, "number": number}))
    assert [answer.number for answer in world.speed_answers] == [1, 2, 3]
    world.forget_speed_answers()
    for number in (2, 3, 4):
        world.absorb(Event(Source.SPEED, 1, {**line, "number": number}))
    assert [answer.number for answer in world.speed_answers] == [4]
    assert world.tally.total == 0
    assert not world.speed_ended
    world.absorb(Event(Source.SPEED, 1, ended=True))
    assert world.speed_ended
    world.absorb(Event(Source.SPEED_DEPLOYMENT, 1, {"status": {}}))
    assert world.speed_deployment == {"status": {}}
    world.absorb(Event(Source.SPEED_DEPLOYMENT, 1, {"status": {}}, deleted=True))
    assert world.speed_deployment is None


def test_the_progress_of_an_evaluation_is_in_the_last_log_line_that_shows_it():
    asking = '{"arm": "base", "target": "base-model", "records": 200, "event": "asking", "level": "info"}'
    answered = '{"arm": "candidate", "answered": 120, "records": 200, "event": "answered", "level": "info"}'
    assert read_evaluation(f"{asking}\n{answered}\nWarning: no JSON\n[]\n") == ("candidate", 120, 200)
    assert read_evaluation(f"{answered}\n{asking}\n") == ("base", 0, 200)
    assert read_evaluation("") is None


def test_an_evaluation_keeps_its_progress_while_its_log_cannot_be_read():
    world, progress = World("support"), EvaluationProgress("candidate", 120, 200)
    world.absorb(Event(Source.EVALUATION, 1, progress))
    world.absorb(Event(Source.EVALUATION, 2, None))
    assert world.evaluation == progress
