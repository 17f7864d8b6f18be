"""The candidate's weight is that of the spec as it is now, and an edit begins the step again."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.rollout_objects import build_revision, time_at
from support.worlds.rollout_world import RolloutWorld, make_situation, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence.observation import Observation
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Missing, Unseen
from tunewright_operator.domain.rollout.weight import find_weight, lower_weight

NOW = Clock()()
EVALUATE: dict[str, Any] = {"evaluate": {}}
OBSERVE: dict[str, Any] = {"observe": {"minRequests": 40, "maxSeconds": 300}}
PAUSE: dict[str, Any] = {"pause": {}}


def weight(percent: int) -> dict[str, Any]:
    return {"setWeight": percent}


def see(steps: list[dict[str, Any]], step: int, current: int = 0, *, stable: bool = True, **facts: Any) -> Any:
    candidate = build_revision("two", acceptedAt=time_at(0), weight=current, step=step, stepStartedAt=time_at(0))
    status: dict[str, Any] = {"candidate": candidate}
    if stable:
        status["stable"] = build_revision("one", since=time_at(0))
    return make_situation({"rollout": {"steps": steps}}, status, **facts)


STEPS = [EVALUATE, weight(10), OBSERVE, PAUSE, weight(50), OBSERVE]
IN_FORCE = [0, 10, 10, 10, 50, 50]


@pytest.mark.parametrize(
    ("steps", "step", "stable", "current", "wanted"),
    [
        *(pytest.param(STEPS, step, True, 0, wanted, id=f"step {step}") for step, wanted in enumerate(IN_FORCE)),
        pytest.param(STEPS, 6, True, 50, 100, id="the bake"),
        pytest.param(STEPS, 31, True, 50, 100, id="an index past the end"),
        pytest.param([PAUSE, weight(10)], 0, True, 10, 0, id="no weight at or before the step"),
        pytest.param(STEPS, 0, False, 0, 0, id="a first revision before its weight"),
        pytest.param(STEPS, 1, False, 0, 100, id="a first revision answers all clients"),
        pytest.param([weight(1), PAUSE], 0, False, 0, 100, id="a first revision at any weight"),
        pytest.param([PAUSE, weight(10)], 0, False, 100, 100, id="a first revision continues to answer"),
    ],
)
def test_the_weight_is_that_of_the_last_set_weight_at_or_before_the_step(steps, step, stable, current, wanted):
    situation = see(steps, step, current, stable=stable)
    assert find_weight(situation, situation.candidate) == wanted


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("server", [None, Missing(), Unseen()], ids=["seen", "missing", "unseen"])
@pytest.mark.parametrize("step", [1, 2, 3], ids=["setWeight", "observe", "pause"])
def test_a_lower_weight_takes_effect_whatever_the_rollout_waits_for(step, server, paused):
    facts = {} if server is None else {"server": server}
    situation = see([EVALUATE, weight(5), OBSERVE, PAUSE], step, 50, **facts)
    spec = situation.spec.updated(paused=paused)
    situation = dataclasses.replace(situation, deployment=situation.deployment.updated(spec=spec))
    decision = decide(situation, NOW)
    after = decision.status.candidate
    assert (after.weight, after.step, decision.again) == (5, step, True)
    assert after.step_started_at == (time_at(0) if step == 1 else None), "the step begins again"
    assert [notice.reason for notice in decision.notices] == ["WeightChanged"]
    assert "5 % instead of 50 %" in decision.notices[0].message


def test_the_weight_of_a_candidate_that_is_withdrawn_does_not_change():
    situation = see([EVALUATE, weight(5), PAUSE], 2, 50)
    ending = {"outcome": "Aborted", "reason": "AbortRequested"}
    candidate = situation.candidate.updated(ending=ending)
    deployment = situation.deployment.updated(status=situation.status.updated(candidate=candidate))
    assert lower_weight(dataclasses.replace(situation, deployment=deployment), NOW) is None


def begin(steps: list[dict[str, Any]], **rollout: Any) -> RolloutWorld:
    """Return a world whose candidate `two` has passed its evaluation."""
    world = RolloutWorld(steps, **rollout)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    return world


def share(world: RolloutWorld) -> int:
    """Return the weight of `two` in the plan."""
    return world.shares().get(revision_of("two"), 0)


def edit(world: RolloutWorld, steps: list[dict[str, Any]]) -> None:
    world.body["spec"]["rollout"]["steps"] = steps


def answers(world: RolloutWorld) -> tuple[int, int]:
    """Return the numbers of answers in the open window."""
    arms = Observation.from_wire(world.body["status"]["candidate"]["observation"]).arms
    return arms.candidate.answers, arms.incumbent.answers


TO_PAUSE = [EVALUATE, weight(20), PAUSE, weight(50), PAUSE]
TO_OBSERVE = [EVALUATE, weight(20), {"observe": {"minRequests": 900, "maxSeconds": 3000}}, weight(50), PAUSE]
EDITS = [
    ("lowered during a pause", TO_PAUSE, [EVALUATE, weight(5), PAUSE, weight(50), PAUSE], 5, 2),
    ("raised during a pause", TO_PAUSE, [EVALUATE, weight(30), PAUSE, weight(50), PAUSE], 30, 2),
    ("its weight is replaced by a pause", TO_PAUSE, [EVALUATE, PAUSE, PAUSE, weight(50), PAUSE], 0, 1),
    ("a pause is inserted before its weight", TO_PAUSE, [EVALUATE, PAUSE, weight(20), PAUSE, weight(50), PAUSE], 0, 1),
    ("a step that it passed is removed", TO_PAUSE, [weight(20), PAUSE, weight(50), PAUSE], 20, 1),
    ("its own step is removed", TO_PAUSE, [EVALUATE, weight(20), weight(50), PAUSE], 50, 3),
    ("a step is added after it", TO_PAUSE, [*TO_PAUSE, weight(60), PAUSE], 20, 2),
    ("lowered during an observation", TO_OBSERVE, [EVALUATE, weight(5), *TO_OBSERVE[2:]], 5, 2),
    ("raised during an observation", TO_OBSERVE, [EVALUATE, weight(40), *TO_OBSERVE[2:]], 40, 2),
    ("the other steps are removed", TO_PAUSE, [EVALUATE, weight(20)], 100, 2),
]


@pytest.mark.parametrize(
    ("steps", "edited", "weight_after", "step_after"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS]
)
def test_an_edit_takes_effect_at_the_next_reconciliation(steps, edited, weight_after, step_after):
    world = begin(steps)
    world.ask(400)
    world.settle()
    edit(world, edited)
    world.settle()
    candidate = world.deployment.status.candidate
    assert (share(world), candidate.weight, candidate.step) == (weight_after, weight_after, step_after)
    assert candidate.ending is None


def test_a_changed_weight_opens_a_new_window():
    world = begin(TO_OBSERVE)
    world.ask(400)
    world.settle()
    assert sum(answers(world)) == 400
    world.clock.advance(60)
    edit(world, [EVALUATE, weight(5), *TO_OBSERVE[2:]])
    world.settle()
    assert answers(world) == (0, 0)
    observation = Observation.from_wire(world.body["status"]["candidate"]["observation"])
    assert observation.opened_at == world.now, "and its time begins again"


def test_the_time_of_a_pause_begins_again_with_a_changed_weight():
    timed = {"pause": {"seconds": 60}}
    world = begin([EVALUATE, weight(20), timed, weight(50), PAUSE])
    world.clock.advance(50)
    edit(world, [EVALUATE, weight(10), timed, weight(50), PAUSE])
    assert world.settle().wait.reason == "Pausing"
    world.clock.advance(50)
    assert world.settle().wait.reason == "Pausing"
    world.clock.advance(11)
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert share(world) == 50


@pytest.mark.parametrize("steps", [TO_PAUSE, TO_OBSERVE], ids=["pause", "observe"])
def test_while_paused_a_weight_is_lowered_and_not_raised(steps):
    world = begin(steps)
    world.body["spec"]["paused"] = True
    edit(world, [EVALUATE, weight(40), *steps[2:]])
    world.settle()
    assert share(world) == 20
    edit(world, [EVALUATE, weight(5), *steps[2:]])
    world.settle()
    assert share(world) == 5
    edit(world, [EVALUATE, weight(40), *steps[2:]])
    world.settle()
    assert share(world) == 5
    world.body["spec"]["paused"] = False
    world.settle()
    assert share(world) == 40


def test_a_window_is_watched_after_a_weight_was_lowered_while_paused():
    world = begin(TO_OBSERVE)
    world.body["spec"]["paused"] = True
    edit(world, [EVALUATE, weight(10), *TO_OBSERVE[2:]])
    world.settle()
    world.ask(1500, {revision_of("two"): {"ErrorRate"}}, start=5000)
    world.settle()
    assert world.deployment.status.history[0].reason == "GuardrailFailed"


def test_a_window_is_watched_while_a_higher_weight_waits():
    world = begin(TO_OBSERVE)
    world.body["spec"]["paused"] = True
    edit(world, [EVALUATE, weight(40), *TO_OBSERVE[2:]])
    world.settle()
    world.ask(1000, {revision_of("two"): {"ErrorRate"}}, start=5000)
    world.settle()
    assert world.deployment.status.history[0].reason == "GuardrailFailed"


def test_a_weight_is_raised_only_when_every_replica_has_loaded_the_candidate():
    world = begin(TO_PAUSE)
    two = revision_of("two")
    world.pods[1].retrying[two] = "access denied"
    world.pods[1].restart(world.plan)
    edit(world, [EVALUATE, weight(30), *TO_PAUSE[2:]])
    assert world.settle().wait.reason == "LoadingRetried"
    assert share(world) == 20
    world.pods[1].retrying.clear()
    world.pods[1].load()
    world.settle()
    assert share(world) == 30


def test_a_step_that_is_added_after_the_bake_began_takes_the_weight_back():
    world = begin([EVALUATE, weight(20)])
    assert world.settle().wait.reason == "Baking"
    edit(world, [EVALUATE, weight(20), PAUSE])
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert share(world) == 20


def change_metrics(body: dict[str, Any]) -> None:
    body["spec"]["analysis"]["metrics"][0]["maxRegression"] = "0.3"


def remove_metric(body: dict[str, Any]) -> None:
    del body["spec"]["analysis"]["metrics"][1]


def add_contract(body: dict[str, Any]) -> None:
    body["spec"]["outputContract"] = {"maxTokens": 100}


def change_stickiness(body: dict[str, Any]) -> None:
    body["spec"]["rollout"]["stickyBy"] = [{"header": "x-user"}]


def change_min_requests(body: dict[str, Any]) -> None:
    body["spec"]["rollout"]["steps"][2]["observe"]["minRequests"] = 800


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (change_metrics, 0),
        (remove_metric, 0),
        (add_contract, 0),
        (change_stickiness, 0),
        (change_min_requests, 400),
    ],
)
def test_an_edit_of_what_is_counted_opens_a_new_window(change, kept):
    world = begin([EVALUATE, weight(20), {"observe": {"minRequests": 900, "maxSeconds": 3000}}, PAUSE])
    world.ask(400)
    world.settle()
    change(world.body)
    assert world.settle().wait.reason == "Observing"
    assert sum(answers(world)) == kept


def test_a_lower_requirement_applies_to_the_open_window():
    world = begin([EVALUATE, weight(20), {"observe": {"minRequests": 900, "maxSeconds": 3000}}, PAUSE])
    world.ask(400)
    world.settle()
    world.body["spec"]["rollout"]["steps"][2]["observe"]["minRequests"] = 20
    assert world.settle().wait.reason == "AwaitingPromotion"


def test_a_bake_keeps_the_window_that_it_compares_with():
    world = begin([EVALUATE, weight(20), OBSERVE])
    world.ask(800)
    assert world.settle().wait.reason == "Baking"
    change_metrics(world.body)
    world.ask(800, {revision_of("two"): {"ErrorRate"}}, start=9000)
    world.settle()
    assert world.deployment.status.history[0].reason == "GuardrailFailed"


def test_a_window_of_an_earlier_version_is_kept():
    world = begin([EVALUATE, weight(20), {"observe": {"minRequests": 900, "maxSeconds": 3000}}, PAUSE])
    world.ask(400)
    world.settle()
    del world.body["status"]["candidate"]["observation"]["rules"]
    world.settle()
    assert sum(answers(world)) == 400


def test_an_edited_evaluation_begins_again():
    world = RolloutWorld([EVALUATE, weight(20), PAUSE])
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.INCONCLUSIVE)
    assert world.settle().wait.reason == "Inconclusive"
    bad = {"type": "JSONSchema", "schema": {"required": "queue"}, "minimum": "0.9"}
    world.body["spec"]["evaluation"] = {"metrics": [bad]}
    assert world.settle().wait.reason == "InvalidSchema"
    world.body["spec"]["evaluation"] = {"maxSamples": 50, "metrics": [{"type": "ExactMatch", "minimum": "0.1"}]}
    assert world.settle().wait.reason == "Evaluating"
    assert world.deployment.status.candidate.verdict is None
    world.finish_evaluation(Verdict.PASS)
    assert world.settle().wait.reason == "AwaitingPromotion"
