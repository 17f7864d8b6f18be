"""The end of each job's rollout, from the states of the AdapterDeployment."""

from __future__ import annotations

from support.worlds.demo_objects import NEW, STEPS, deployment, entry
from tunewright_dev.demo.observed.rollouts import RolloutLog, name_stage, name_watched_stage
from tunewright_dev.demo.output import telling


def test_a_rollout_ends_once_at_the_stage_that_it_was_last_seen_in():
    log = RolloutLog()
    assert log.read(deployment({"revision": NEW, "step": 2})) == []
    assert log.read(deployment({"revision": NEW, "step": 2, "ending": {"reason": "GuardrailFailed"}})) == []
    (one,) = log.read(deployment(history=[entry()]))
    assert (one.job, one.outcome, one.stage) == ("support-triage-4", "RolledBack", "observe at 20 %")
    assert one.ended_at - one.accepted_at == 60
    assert log.read(deployment(history=[entry()])) == []
    assert telling.tell_ended(one).endswith("(GuardrailFailed). OutputContract 0.31 against 0.00")


def test_history_without_a_job_is_ignored():
    assert RolloutLog().read(deployment(history=[{**entry(), "sourceJob": None}])) == []


def test_stages_have_names():
    names = [name_stage(STEPS, index) for index in range(len(STEPS) + 1)]
    assert names == ["evaluate", "shift to 20 %", "observe at 20 %", "shift to 50 %", "pause at 50 %", "bake"]


def test_a_shift_belongs_to_the_stage_that_it_begins():
    names = [name_watched_stage(STEPS, index) for index in range(len(STEPS) + 1)]
    assert names == ["evaluate", "observe at 20 %", "observe at 20 %", "pause at 50 %", "pause at 50 %", "bake"]
    assert name_watched_stage([{"setWeight": 20}], 0) == "bake"
