"""Where a candidate continues after an edit of the steps: it skips no step that it has not passed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.rollout_objects import build_revision, time_at
from support.worlds.rollout_world import RolloutWorld, make_situation
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.rollout.position import find_position, follow_steps, list_steps

NOW = Clock()()
STEPS: dict[str, Any] = {
    "E": {"evaluate": {}},
    "W": {"setWeight": 20},
    "V": {"setWeight": 50},
    "O": {"observe": {"maxSeconds": 300, "minRequests": 40}},
    "P": {"pause": {}},
}


def see(before: str, step: int, now: str, **changes: Any) -> Situation:
    """Return a candidate at a step of the steps `before`, each a letter, and a spec with other steps."""
    seen = [json.dumps(STEPS[letter], separators=(",", ":")) for letter in before]
    candidate = build_revision(
        "two", acceptedAt=time_at(0), step=step, seenSteps=seen, stepStartedAt=time_at(5), weight=20, **changes
    )
    steps = [STEPS[letter] for letter in now]
    status = {"candidate": candidate, "stable": build_revision("one", since=time_at(0))}
    return make_situation({"rollout": {"steps": steps}}, status)


ROWS = [
    ("nothing changed", "EWOP", 2, "EWOP", 2),
    ("a weight changed", "EWP", 2, "EVP", 2),
    ("a step after it is added", "EWO", 2, "EWOP", 2),
    ("a step after it is removed", "EWOPV", 2, "EWOV", 2),
    ("the first step is removed", "EWOVO", 2, "WOVO", 1),
    ("two passed steps are removed", "EWOVO", 4, "EVO", 2),
    ("two steps are removed, one of them its own", "EWOVO", 4, "EWO", 3),
    ("its own step is removed", "EWOVO", 2, "EWVO", 2),
    ("its own step is replaced", "EWP", 2, "EWO", 2),
    ("a passed step is replaced by another kind", "EWP", 2, "EOP", 1),
    ("a weight and the number of steps changed", "EWOP", 3, "EVOPP", 1),
    ("a step is inserted at the front", "WOP", 2, "EWOP", 0),
    ("a step is inserted before its own", "EWP", 2, "EWOP", 2),
    ("passed steps in another order", "WOVO", 3, "OWVO", 1),
    ("every other step is removed", "EWOP", 3, "EW", 2),
    ("a step is added in the bake", "EWO", 3, "EWOP", 3),
    ("a step is removed in the bake", "EWO", 3, "EW", 2),
    ("an index past the end", "EWO", 7, "EWP", 2),
]


@pytest.mark.parametrize(("before", "step", "now", "position"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_first_step_that_was_not_passed(before, step, now, position):
    situation = see(before, step, now)
    assert find_position(situation.candidate, list_steps(situation.spec)) == position


@pytest.mark.parametrize(
    ("before", "step", "now", "after", "started", "noticed"),
    [
        pytest.param("EWO", 2, "EWOP", 2, True, False, id="the same step continues"),
        pytest.param("EWOP", 2, "EWOPV", 2, True, False, id="the same step continues, with steps after it"),
        pytest.param("EWO", 2, "WO", 1, False, True, id="another index begins again"),
        pytest.param("EWO", 2, "EWP", 2, False, True, id="another kind begins"),
        pytest.param("EWO", 3, "EW", 3, True, False, id="a bake continues"),
        pytest.param("EWO", 3, "EWOP", 3, False, True, id="a bake is left"),
        pytest.param("EWOP", 3, "EWO", 3, False, True, id="a bake begins"),
    ],
)
def test_a_candidate_is_moved_before_anything_else_is_decided(before, step, now, after, started, noticed):
    situation = see(before, step, now)
    decision = decide(situation, NOW)
    candidate = decision.status.candidate
    assert (candidate.step, candidate.step_started_at is not None) == (after, started)
    assert candidate.seen_steps == list_steps(situation.spec)
    assert (candidate.weight, decision.again) == (20, True)
    assert [notice.reason for notice in decision.notices] == (["StepsChanged"] if noticed else [])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"seenSteps": []}, id="a status of an earlier version"),
        pytest.param({"ending": {"outcome": "Aborted", "reason": "AbortRequested"}}, id="the candidate ends"),
    ],
)
def test_a_candidate_is_not_moved(changes):
    situation = see("EWOP", 3, "WP")
    candidate = situation.candidate.updated(
        seen_steps=() if "seenSteps" in changes else situation.candidate.seen_steps, ending=changes.get("ending")
    )
    deployment = situation.deployment.updated(status=situation.status.updated(candidate=candidate))
    assert follow_steps(dataclasses.replace(situation, deployment=deployment), NOW) is None


def test_the_steps_are_added_to_a_status_of_an_earlier_version():
    situation = see("", 2, "EWP")
    assert decide(situation, NOW).status.candidate.seen_steps == list_steps(situation.spec)


def test_a_removed_step_does_not_end_an_observation():
    steps = [STEPS[letter] for letter in "EWOVP"]
    world = RolloutWorld(steps)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    assert world.settle().wait.reason == "Observing"
    world.body["spec"]["rollout"]["steps"] = steps[1:]
    assert world.settle().wait.reason == "Observing"
    candidate = world.deployment.status.candidate
    assert (candidate.step, candidate.weight) == (1, 20)
    world.ask(400)
    assert world.settle().wait.reason == "AwaitingPromotion"
