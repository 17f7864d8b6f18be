"""From the world's records to the summary's figures."""

from __future__ import annotations

from tunewright_contracts.evaluation_report import EvaluationReport, MetricResult, Verdict
from tunewright_dev.demo.observed.ledger import PlanEntry
from tunewright_dev.demo.observed.rollouts import Ended
from tunewright_dev.demo.observed.world import World
from tunewright_dev.demo.output import report
from tunewright_dev.demo.output.summary import Quality, Seconds


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
    assert report.measure_seconds(rollouts, world, {"servers": 1.26}) == Seconds(
        apply_to_trained=120,
        trained_to_promoted=200,
        bad_offline_to_rolled_back=30,
        bad_live_to_rolled_back=42,
        stages={"servers": 1.3},
    )
