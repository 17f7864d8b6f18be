"""`decide` as a table: what is seen of a FineTuneJob, what is done about it, and what is said."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.phase_result import DatasetSummary, Outcome, PhaseResult
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.decision import decide
from tunewright_operator.domain.finetune.observation import (
    CreatePrepareJob,
    CreateTrainJob,
    DeleteJob,
    FineTuneAction,
    FineTuneObservation,
)
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState
from tunewright_operator.domain.secrets import SecretFacts

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
DATASET = {"digest": DIGEST, "uri": "s3://bucket/out/datasets/x", "train": 8, "validation": 1, "evaluation": 1}
PREPARE, TRAIN = "j-prepare-1", "j-train-1"


def ago(seconds: float) -> dt.datetime:
    return NOW - dt.timedelta(seconds=seconds)


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}


def job(*, spec: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **status: Any) -> FineTuneJob:
    return FineTuneJob.from_body(
        {
            "metadata": {"name": "j", "namespace": "ns", "uid": "u", "generation": 1, "labels": labels or {}},
            "spec": {
                "baseModelRef": {"name": "smol"},
                "storage": {"secretRef": {"name": "s3"}},
                "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
                "output": {"uri": "s3://bucket/out"},
                **(spec or {}),
            },
            "status": status,
        }
    )


def ready(**more: Any) -> dict[str, Any]:
    """Return a status whose dataset is prepared."""
    return {"dataset": DATASET, "attempt": 1, **more}


BASE_MODEL = BaseModel.from_body(
    {
        "metadata": {"name": "smol"},
        "spec": {"source": {"s3": {"uri": "s3://bucket/m"}}, "contextLength": 1},
        "status": {"digest": DIGEST, "conditions": [condition("Ready", "True", "Inspected")]},
    }
)


def see(subject: FineTuneJob, *runs: JobRun, **changes: Any) -> FineTuneObservation:
    observation = FineTuneObservation(
        job=subject,
        base_model=BASE_MODEL,
        namespace_labels={},
        secret=SecretFacts(exists=True, allowed=True),
        runs={run.name: run for run in runs},
    )
    return dataclasses.replace(observation, **changes)


def run(name: str, state: RunState, **pod: Any) -> JobRun:
    ended = ago(1) if state in {RunState.SUCCEEDED, RunState.FAILED} else None
    return JobRun(
        name=name, uid=f"{name}-uid", state=state, ended_at=ended, pod=PodRun("p", "p-uid", **pod) if pod else None
    )


def result(outcome: Outcome, reason: str = "Because", **facts: Any) -> PhaseResult:
    return PhaseResult(outcome=outcome, reason=reason, message="what, where, what to do", **facts)


RUNNING = {"running": True, "started_at": ago(50), "ip": "10.0.0.1"}
SUSPENDED = [condition("Succeeded", "Unknown", "Suspended")]
DATASET_SUMMARY = DatasetSummary.model_validate(DATASET)

TABLE: dict[str, tuple[FineTuneObservation, tuple[FineTuneAction, ...], str]] = {
    "a new job is prepared": (see(job()), (CreatePrepareJob(1),), "Preparing"),
    "nothing starts without a base model": (see(job(), base_model=None), (), "BaseModelNotFound"),
    "nothing starts without credentials": (see(job(), secret=SecretFacts(exists=False)), (), "SecretNotFound"),
    "nothing starts while suspended": (see(job(spec={"suspend": True})), (), "Suspended"),
    "a running prepare is waited for": (see(job(), run(PREPARE, RunState.ACTIVE, **RUNNING)), (), "Preparing"),
    "good data is recorded": (
        see(job(), run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=DATASET_SUMMARY))),
        (),
        "Prepared",
    ),
    "success without data is none": (
        see(job(), run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED))),
        (),
        "ResultIncomplete",
    ),
    "bad data ends the job": (
        see(job(), run(PREPARE, RunState.FAILED, result=result(Outcome.FAILED, "InvalidRecords"))),
        (),
        "InvalidRecords",
    ),
    "prepare out of memory ends the job": (
        see(job(), run(PREPARE, RunState.FAILED, out_of_memory=True)),
        (),
        "OutOfMemory",
    ),
    "prepared data is trained on": (see(job(dataset=DATASET)), (CreateTrainJob(1, None),), "Starting"),
    "a queue decides when": (
        see(job(dataset=DATASET, labels={"kueue.x-k8s.io/queue-name": "q"})),
        (CreateTrainJob(1, None),),
        "Queued",
    ),
    "a queued job waits": (see(job(**ready()), run(TRAIN, RunState.QUEUED)), (), "Queued"),
    "an unrecorded train job is adopted": (see(job(dataset=DATASET), run(TRAIN, RunState.ACTIVE)), (), "Starting"),
    "a train job deleted by hand comes back": (see(job(**ready(attempt=3))), (CreateTrainJob(3, None),), "Starting"),
    "a running attempt trains": (see(job(**ready()), run(TRAIN, RunState.ACTIVE, **RUNNING)), (), "Training"),
    "a failed attempt is followed after a pause": (
        see(job(**ready()), run(TRAIN, RunState.FAILED, exit_code=1)),
        (),
        "Retrying",
    ),
    "after the pause the next one starts": (
        see(job(**ready()), dataclasses.replace(run(TRAIN, RunState.FAILED, exit_code=1), ended_at=ago(20))),
        (CreateTrainJob(2, None),),
        "Starting",
    ),
    "out of memory shrinks the micro-batch": (
        see(job(**ready()), dataclasses.replace(run(TRAIN, RunState.FAILED, out_of_memory=True), ended_at=ago(20))),
        (CreateTrainJob(2, 4),),
        "Starting",
    ),
    "a preempted attempt is followed at once": (
        see(
            job(spec={"retry": {"maxRestarts": 0}}, **ready()),
            dataclasses.replace(run(TRAIN, RunState.FAILED), disrupted=True),
        ),
        (CreateTrainJob(2, None),),
        "Starting",
    ),
    "an interrupted attempt is followed at once": (
        see(job(**ready(restarts=3)), run(TRAIN, RunState.FAILED, result=result(Outcome.SUSPENDED))),
        (CreateTrainJob(2, None),),
        "Starting",
    ),
    "restarts run out": (see(job(**ready(restarts=3)), run(TRAIN, RunState.FAILED, exit_code=1)), (), "PodKilled"),
    "suspension is recorded before anything is stopped": (
        see(job(spec={"suspend": True}, **ready()), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (),
        "Suspended",
    ),
    "then the pod is stopped": (
        see(job(spec={"suspend": True}, **ready(conditions=SUSPENDED)), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (DeleteJob(TRAIN, f"{TRAIN}-uid"),),
        "Suspended",
    ),
    "once": (
        see(job(spec={"suspend": True}, **ready(conditions=SUSPENDED)), run(TRAIN, RunState.DELETING)),
        (),
        "Suspended",
    ),
    "resuming waits for the old pod": (
        see(job(**ready(conditions=SUSPENDED)), run(TRAIN, RunState.DELETING)),
        (),
        "Suspended",
    ),
    "resuming is the next attempt": (see(job(**ready(conditions=SUSPENDED))), (CreateTrainJob(2, None),), "Starting"),
    "the deadline is recorded before anything is stopped": (
        see(job(spec={"activeDeadlineSeconds": 60}, **ready(activeSeconds=10)), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (),
        "DeadlineExceeded",
    ),
    "an ended job holds no pod": (
        see(
            job(**ready(conditions=[condition("Succeeded", "False", "DeadlineExceeded")])),
            run(TRAIN, RunState.ACTIVE, **RUNNING),
        ),
        (DeleteJob(TRAIN, f"{TRAIN}-uid"),),
        "DeadlineExceeded",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_decide(name: str):
    observation, actions, reason = TABLE[name]
    decision = decide(observation, NOW)
    assert decision.actions == actions
    assert decision.status.conditions[0].type == "Succeeded"
    assert decision.status.conditions[0].reason == reason


@pytest.mark.parametrize("name", TABLE)
def test_status_is_kstatus_conformant(name: str):
    """Reconciling and Stalled are present only when True and never together; an ended job is not reconciling."""
    status = decide(TABLE[name][0], NOW).status
    conditions = {item.type: item for item in status.conditions}
    assert len(conditions) == len(status.conditions)
    assert all(conditions[name].is_true for name in ("Reconciling", "Stalled") if name in conditions)
    assert not {"Reconciling", "Stalled"} <= conditions.keys()
    if conditions["Succeeded"].status != "Unknown":
        assert "Reconciling" not in conditions
    assert status.observed_generation == 1


@pytest.mark.parametrize("name", TABLE)
def test_deciding_again_on_its_own_status_is_stable(name: str):
    """The same world with the decision's status recorded never yields a different word for the same thing."""
    observation = TABLE[name][0]
    first = decide(observation, NOW)
    if first.actions or first.look_again_seconds == 0:
        return
    again = decide(
        dataclasses.replace(observation, job=observation.job.model_copy(update={"status": first.status})), NOW
    )
    assert again.status == first.status


def test_skipped_records_are_told_with_where_all_are_named():
    address = "s3://bucket/out/runs/ns/j-u/invalid-records.jsonl"
    summary = DATASET_SUMMARY.model_copy(
        update={"skipped": 7, "first_problems": ("a/x.jsonl:1: not JSON",), "problems_uri": address}
    )
    done = run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=summary))
    conditions = {item.type: item for item in decide(see(job(), done), NOW).status.conditions}
    assert conditions["DatasetReady"].message.endswith(
        f"; 7 invalid records skipped (all are named in {address}): a/x.jsonl:1: not JSON."
    )
