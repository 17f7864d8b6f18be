"""Which Job of a FineTuneJob is due, and whether a decision may create one."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.observation import (
    FineTuneObservation,
    RunPhase,
    has_ended,
    is_suspended,
    may_continue,
    needs_prerequisites,
)
from tunewright_operator.domain.job_run import JobRun, RunState
from tunewright_operator.domain.secrets import StorageFacts, UseFacts

DATASET = {"digest": "sha256:1", "uri": "s3://bucket/x", "train": 8, "validation": 1, "evaluation": 1}


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}


def make_job(status: dict[str, Any] | None = None, *, deleted: bool = False, **spec: Any) -> FineTuneJob:
    metadata = {"name": "j", "namespace": "ns", "deletionTimestamp": "2026-01-01T00:00:00Z" if deleted else None}
    required = {
        "baseModelRef": {"name": "smol"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
        "output": {"uri": "s3://bucket/out"},
    }
    return FineTuneJob.from_body({"metadata": metadata, "spec": required | spec, "status": status or {}})


def see(job: FineTuneJob, *runs: JobRun) -> FineTuneObservation:
    return FineTuneObservation(
        job=job,
        base_model=None,
        namespace_labels={},
        storage=StorageFacts(secret=UseFacts(exists=True)),
        runs={run.name: run for run in runs},
    )


def run(name: str, state: RunState) -> JobRun:
    return JobRun(name, f"{name}-uid", state)


@pytest.mark.parametrize(
    ("status", "phase", "name"),
    [
        ({}, RunPhase.PREPARE, "j-prepare-1"),
        ({"restarts": 2}, RunPhase.PREPARE, "j-prepare-3"),
        ({"dataset": DATASET}, RunPhase.TRAIN, "j-train-1"),
        ({"dataset": DATASET, "attempt": 3, "restarts": 1}, RunPhase.TRAIN, "j-train-3"),
    ],
)
def test_the_job_that_runs_or_is_due(status: dict[str, Any], phase: RunPhase, name: str) -> None:
    observation = see(make_job(status), run("j-prepare-1", RunState.SUCCEEDED), run(name, RunState.ACTIVE))
    assert (observation.phase, observation.current_name) == (phase, name)
    assert observation.current_run is observation.runs[name]
    assert see(make_job(status)).current_run is None


def test_unfinished_jobs_hold_or_will_hold_resources() -> None:
    runs = [run(state.value, state) for state in RunState]
    unfinished = {item.state for item in see(make_job(), *runs).unfinished_runs}
    assert unfinished == {RunState.ACTIVE, RunState.QUEUED, RunState.DELETING}


ENDED = {"conditions": [condition("Succeeded", "False", "InvalidRecords")]}
EXHAUSTED = [condition("Succeeded", "False", "PodKilled"), condition("Stalled", "True", "RestartsExhausted")]
LATE = [condition("Succeeded", "False", "DeadlineExceeded"), condition("Stalled", "True", "DeadlineExceeded")]


@pytest.mark.parametrize(
    ("job", "runs", "needed"),
    [
        (make_job(), [], True),
        (make_job(), [run("j-prepare-1", RunState.FAILED)], True),
        (make_job(), [run("j-prepare-1", RunState.ACTIVE)], False),
        (make_job(), [run("j-prepare-1", RunState.DELETING)], False),
        (make_job(deleted=True), [], False),
        (make_job(ENDED), [], False),
        (make_job({"conditions": EXHAUSTED, "restarts": 3}), [], False),
        (make_job({"conditions": EXHAUSTED, "restarts": 3}, retry={"maxRestarts": 4}), [], True),
    ],
    ids=[
        "new",
        "failed",
        "running",
        "being deleted",
        "deleted",
        "ended",
        "exhausted",
        "exhausted, and the limit raised",
    ],
)
def test_when_the_prerequisites_of_a_new_job_are_needed(job: FineTuneJob, runs: list[JobRun], needed: bool) -> None:
    assert needs_prerequisites(job, {item.name: item for item in runs}) is needed


@pytest.mark.parametrize(
    ("status", "spec", "continues"),
    [
        ({"conditions": EXHAUSTED, "restarts": 3}, {"retry": {"maxRestarts": 3}}, False),
        ({"conditions": EXHAUSTED, "restarts": 3}, {"retry": {"maxRestarts": 4}}, True),
        ({"conditions": EXHAUSTED, "restarts": 3}, {"activeDeadlineSeconds": 100_000}, False),
        ({"conditions": LATE, "activeSeconds": 60}, {"activeDeadlineSeconds": 60}, False),
        ({"conditions": LATE, "activeSeconds": 60}, {"activeDeadlineSeconds": 61}, True),
        ({"conditions": LATE, "activeSeconds": 60, "restarts": 3}, {"activeDeadlineSeconds": 60}, False),
        (ENDED, {"retry": {"maxRestarts": 9}}, False),
        ({}, {}, False),
    ],
)
def test_only_a_higher_value_of_the_limit_that_stopped_a_job_continues_it(
    status: dict[str, Any], spec: dict[str, Any], continues: bool
) -> None:
    assert may_continue(make_job(status, **spec)) is continues


@pytest.mark.parametrize(
    ("conditions", "ended", "suspended"),
    [
        ([], False, False),
        ([condition("Succeeded", "Unknown", "Training")], False, False),
        ([condition("Succeeded", "Unknown", "Suspended")], False, True),
        ([condition("Succeeded", "True", "Succeeded")], True, False),
        ([condition("Succeeded", "False", "PodKilled")], True, False),
        ([condition("Stalled", "True", "Suspended")], False, False),
    ],
)
def test_the_succeeded_condition_shows_whether_a_job_has_ended_or_is_suspended(
    conditions: list[dict[str, str]], ended: bool, suspended: bool
) -> None:
    status = make_job({"conditions": conditions}).status
    assert (has_ended(status), is_suspended(status)) == (ended, suspended)
