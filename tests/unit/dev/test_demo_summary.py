"""The summary has the keys that were agreed on, and what must hold is checked one by one."""

from __future__ import annotations

import json

import pytest

from tunewright_contracts.evaluation_report import EvaluationReport, MetricResult, Verdict
from tunewright_dev.demo import report, telling
from tunewright_dev.demo.ledger import PlanEntry
from tunewright_dev.demo.rollouts import Ended
from tunewright_dev.demo.summary import (
    Answers,
    Qualities,
    Quality,
    RolloutResult,
    Seconds,
    Summary,
    find_violations,
)
from tunewright_dev.demo.world import World

GOOD = Summary(
    quality=Qualities(
        base=Quality(exact_match=0.0, valid_json=0.1, n=200), tuned=Quality(exact_match=0.8, valid_json=1.0, n=200)
    ),
    answers=Answers(total=100, wrong=0, failed=0, by_revision={"support--aaa": 60, "support--bbb": 40}),
    rollouts=(
        RolloutResult(name="one", outcome="Promoted", stage="bake", candidate_share_percent=100, reason="Promoted"),
        RolloutResult(name="two", outcome="Promoted", stage="bake", candidate_share_percent=100, reason="Promoted"),
        RolloutResult(name="three", outcome="RolledBack", stage="evaluate", candidate_share_percent=0, reason="x"),
        RolloutResult(
            name="four", outcome="RolledBack", stage="observe at 20 %", candidate_share_percent=20, reason="y"
        ),
    ),
    seconds=Seconds(
        apply_to_trained=1, trained_to_promoted=2, bad_offline_to_rolled_back=3, bad_live_to_rolled_back=None
    ),
    convergence_seconds={"pod": 0.5},
    peak_memory_mib={"pod": 2000},
    cold_setup_seconds=None,
)


def change(part, **changes):
    return GOOD.model_copy(update={part: getattr(GOOD, part).model_copy(update=changes)})


def change_tuned(**changes):
    tuned = GOOD.quality.tuned.model_copy(update=changes)
    return GOOD.model_copy(update={"quality": GOOD.quality.model_copy(update={"tuned": tuned})})


def change_rollout(index, **changes):
    rollouts = list(GOOD.rollouts)
    rollouts[index] = rollouts[index].model_copy(update=changes)
    return GOOD.model_copy(update={"rollouts": tuple(rollouts)})


def test_the_keys_are_exactly_those_agreed_on():
    data = json.loads(GOOD.to_json())
    assert set(data) == {
        "quality",
        "answers",
        "rollouts",
        "seconds",
        "convergenceSeconds",
        "peakMemoryMiB",
        "coldSetupSeconds",
    }
    assert set(data["quality"]) == {"base", "tuned"}
    assert set(data["quality"]["tuned"]) == {"exactMatch", "validJSON", "n"}
    assert set(data["answers"]) == {"total", "wrong", "failed", "byRevision"}
    assert set(data["rollouts"][0]) == {"name", "outcome", "stage", "candidateSharePercent", "reason"}
    assert set(data["seconds"]) == {
        "applyToTrained",
        "trainedToPromoted",
        "badOfflineToRolledBack",
        "badLiveToRolledBack",
    }


def test_a_good_summary_violates_nothing():
    assert find_violations(GOOD) == []
    assert find_violations(change_tuned(exact_match=0.70, valid_json=0.95)) == []


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        (change_tuned(exact_match=0.699), "tuned exact match is 0.699"),
        (change_tuned(valid_json=0.949), "tuned valid JSON is 0.949"),
        (change_tuned(n=199), "only 199 held-out records"),
        (
            GOOD.model_copy(
                update={
                    "quality": Qualities(base=Quality(exact_match=0.2, valid_json=0, n=200), tuned=GOOD.quality.tuned)
                }
            ),
            "base exact match is 0.200",
        ),
        (GOOD.model_copy(update={"quality": None}), "no quality"),
        (change("answers", wrong=1), "1 answers came from a revision"),
        (change("answers", failed=2), "2 requests failed"),
        (change("answers", total=99), "only 99 answers"),
        (change_rollout(0, outcome="RolledBack"), "one was RolledBack at bake"),
        (change_rollout(1, outcome="RolledBack"), "two was RolledBack at bake"),
        (change_rollout(2, outcome="Promoted"), "three was Promoted"),
        (change_rollout(3, outcome="Promoted"), "four was Promoted"),
        (change_rollout(2, candidate_share_percent=20), "three got 20 % of clients"),
        (change_rollout(3, candidate_share_percent=0), "four was stopped before a client saw it"),
        (GOOD.model_copy(update={"rollouts": GOOD.rollouts[:3]}), "3 rollouts ended"),
    ],
)
def test_each_thing_that_must_hold_is_named_when_it_does_not(summary, says):
    violations = find_violations(summary)
    assert len(violations) == 1
    assert says in violations[0]


def metric(kind, base, candidate):
    return MetricResult(type=kind, candidate=candidate, base=base, samples=200, verdict=Verdict.PASS, message="better")


def evaluation(*metrics):
    return EvaluationReport(verdict=Verdict.PASS, reason="x", message="y", candidate="support--bbb", metrics=metrics)


def test_quality_is_that_of_the_report():
    found = report.read_quality(evaluation(metric("ExactMatch", 0.01, 0.8), metric("JSONSchema", 0.02, 0.99)))
    assert found.base == Quality(exact_match=0.01, valid_json=0.02, n=200)
    assert found.tuned == Quality(exact_match=0.8, valid_json=0.99, n=200)


def test_quality_is_unknown_without_both_metrics_and_the_base():
    assert report.read_quality(evaluation(metric("ExactMatch", 0.01, 0.8))) is None
    assert report.read_quality(evaluation(metric("ExactMatch", None, 0.8), metric("JSONSchema", 0, 1))) is None


def ended(job, revision, outcome, accepted_at, ended_at):
    return Ended(job, revision, outcome, "evaluate", "reason", "message", "", accepted_at, ended_at)


def test_times_are_of_the_last_promoted_job_and_of_each_kind_of_rollback():
    world = World("support")
    times = (("2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"), ("2026-01-01T00:10:00Z", "2026-01-01T00:12:00Z"))
    for name, (applied, done) in zip(("one", "two"), times, strict=True):
        world.jobs[name] = {"metadata": {"creationTimestamp": applied}, "status": {"completionTime": done}}
    promoted_at = 1767226320 + 200  # 00:12:00 and 200 s
    world.ledger.record_plan(PlanEntry(1, 0, 1000, {"support": {"r2": 80, "r4": 20}}))
    world.ledger.record_plan(PlanEntry(2, 0, 1042, {"support": {"r2": 100}}))
    rollouts = [
        ended("one", "r1", "Promoted", 0, 5),
        ended("two", "r2", "Promoted", 0, promoted_at),
        ended("three", "r3", "RolledBack", 500, 530),
        ended("four", "r4", "RolledBack", 990, 1050),
    ]
    assert report.measure_seconds(rollouts, world) == Seconds(
        apply_to_trained=120,
        trained_to_promoted=200,
        bad_offline_to_rolled_back=30,
        bad_live_to_rolled_back=42,
    )


def test_the_table_says_what_became_of_each_job_and_leaves_out_what_did_not_happen():
    rows = dict(telling.tabulate(GOOD))
    assert rows["three"] == "RolledBack at evaluate (x); no client saw it"
    assert rows["four"].endswith("at most 20 % of clients saw it")
    assert rows["answers"] == "100: 0 wrong, 0 failed"
    assert "bad live → rolled back" not in rows
    assert rows["memory of pod"] == "2000 MiB at most"
