"""`decide` as a table: an observation of a FineTuneJob, the actions, and the reported reason."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.phase_result import DatasetSummary, Outcome, PhaseResult
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob, FineTuneJobStatus
from tunewright_operator.domain.finetune.decision import decide
from tunewright_operator.domain.finetune.observation import (
    CreatePrepareJob,
    CreateTrainJob,
    DeleteJob,
    FineTuneAction,
    FineTuneObservation,
)
from tunewright_operator.domain.job_run import ExpireJob, JobRun, PodRun, RunState
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.secrets import EnsureDocumentKey, StorageFacts, UseFacts

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
DATASET = {"digest": DIGEST, "uri": "s3://bucket/out/datasets/x", "train": 8, "validation": 1, "evaluation": 1}
PREPARE, TRAIN = "j-prepare-1", "j-train-1"
KEY = EnsureDocumentKey()


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
        storage=StorageFacts(secret=UseFacts(exists=True, allowed=True)),
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
EXHAUSTED = [
    condition("Succeeded", "False", "PodKilled"),
    condition("Stalled", "True", "RestartsExhausted"),
]
DEAD = run(TRAIN, RunState.FAILED, exit_code=1)
DATASET_SUMMARY = DatasetSummary.model_validate(DATASET)
PREPARED = run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=DATASET_SUMMARY))
ENDED = [condition("Succeeded", "False", "InvalidRecords")]


def expire(name: str) -> ExpireJob:
    return ExpireJob(name, f"{name}-uid", ago(1))


EXPIRE_TRAIN = expire(TRAIN)

TABLE: dict[str, tuple[FineTuneObservation, tuple[FineTuneAction, ...], str]] = {
    "a new job is prepared": (see(job()), (CreatePrepareJob(1),), "Preparing"),
    "nothing starts without a base model": (see(job(), base_model=None), (), "BaseModelNotFound"),
    "nothing starts without credentials": (see(job(), storage=StorageFacts()), (), "SecretNotFound"),
    "an invalid URI ends the job": (see(job(spec={"output": {"uri": "s3://bucket/../x"}})), (), "InvalidURI"),
    "nothing starts while suspended": (see(job(spec={"suspend": True})), (), "Suspended"),
    "a running prepare continues": (see(job(), run(PREPARE, RunState.ACTIVE, **RUNNING)), (), "Preparing"),
    "good data is recorded": (
        see(job(), run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=DATASET_SUMMARY))),
        (),
        "Prepared",
    ),
    "success without data ends the job": (
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
    "no attempt starts without credentials": (
        see(job(dataset=DATASET), storage=StorageFacts()),
        (),
        "SecretNotFound",
    ),
    "prepared data is trained on": (see(job(dataset=DATASET)), (KEY, CreateTrainJob(1, None)), "Starting"),
    "a queued job is created and waits": (
        see(job(dataset=DATASET, labels={"kueue.x-k8s.io/queue-name": "q"})),
        (KEY, CreateTrainJob(1, None)),
        "Queued",
    ),
    "a queued job waits": (see(job(**ready()), run(TRAIN, RunState.QUEUED)), (), "Queued"),
    "an unrecorded train job is adopted": (see(job(dataset=DATASET), run(TRAIN, RunState.ACTIVE)), (), "Starting"),
    "a manually deleted train job is created again": (
        see(job(**ready(attempt=3))),
        (KEY, CreateTrainJob(3, None)),
        "Starting",
    ),
    "a running attempt trains": (see(job(**ready()), run(TRAIN, RunState.ACTIVE, **RUNNING)), (), "Training"),
    "a key that a pod waits for is created again": (
        see(job(**ready()), run(TRAIN, RunState.ACTIVE, waiting="ContainerCreating"), lacks_key=True),
        (KEY,),
        "PodPending",
    ),
    "a failed attempt is followed after a pause": (
        see(job(**ready()), run(TRAIN, RunState.FAILED, exit_code=1)),
        (),
        "Retrying",
    ),
    "after the pause the next one starts": (
        see(job(**ready()), dataclasses.replace(run(TRAIN, RunState.FAILED, exit_code=1), ended_at=ago(20))),
        (KEY, CreateTrainJob(2, None)),
        "Starting",
    ),
    "out of memory shrinks the micro-batch": (
        see(job(**ready()), dataclasses.replace(run(TRAIN, RunState.FAILED, out_of_memory=True), ended_at=ago(20))),
        (KEY, CreateTrainJob(2, 4)),
        "Starting",
    ),
    "a preempted attempt is followed at once": (
        see(
            job(spec={"retry": {"maxRestarts": 0}}, **ready()),
            dataclasses.replace(run(TRAIN, RunState.FAILED), disrupted=True),
        ),
        (KEY, CreateTrainJob(2, None)),
        "Starting",
    ),
    "an interrupted attempt is followed at once": (
        see(job(**ready(restarts=3)), run(TRAIN, RunState.FAILED, result=result(Outcome.SUSPENDED))),
        (KEY, CreateTrainJob(2, None)),
        "Starting",
    ),
    "an unrecorded next attempt is adopted although the spec changed since": (
        see(
            job(**ready()),
            dataclasses.replace(DEAD, ended_at=ago(20)),
            run("j-train-2", RunState.ACTIVE),
            storage=StorageFacts(),
        ),
        (),
        "Starting",
    ),
    "a failed prepare is followed after a pause": (
        see(job(), dataclasses.replace(run(PREPARE, RunState.FAILED, exit_code=1), ended_at=ago(20))),
        (CreatePrepareJob(2),),
        "Preparing",
    ),
    "an unrecorded next prepare is adopted although the spec changed since": (
        see(
            job(),
            dataclasses.replace(run(PREPARE, RunState.FAILED, exit_code=1), ended_at=ago(20)),
            run("j-prepare-2", RunState.ACTIVE),
            storage=StorageFacts(),
        ),
        (),
        "Preparing",
    ),
    "too many restarts end the job": (
        see(job(**ready(restarts=3)), run(TRAIN, RunState.FAILED, exit_code=1)),
        (),
        "PodKilled",
    ),
    "suspension is recorded before anything is stopped": (
        see(job(spec={"suspend": True}, **ready()), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (),
        "Suspended",
    ),
    "a recorded suspension stops the pod": (
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
    "resuming starts the next attempt": (
        see(job(**ready(conditions=SUSPENDED))),
        (KEY, CreateTrainJob(2, None)),
        "Starting",
    ),
    "an unrecorded next attempt is adopted on resume": (
        see(job(**ready(conditions=SUSPENDED)), run("j-train-2", RunState.ACTIVE)),
        (),
        "Starting",
    ),
    "the deadline is recorded before anything is stopped": (
        see(job(spec={"activeDeadlineSeconds": 60}, **ready(activeSeconds=10)), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (),
        "DeadlineExceeded",
    ),
    "an ended job's pod is deleted": (
        see(
            job(**ready(conditions=[condition("Succeeded", "False", "DeadlineExceeded")])),
            run(TRAIN, RunState.ACTIVE, **RUNNING),
        ),
        (DeleteJob(TRAIN, f"{TRAIN}-uid"),),
        "DeadlineExceeded",
    ),
    "a higher limit of restarts continues the job": (
        see(job(spec={"retry": {"maxRestarts": 4}}, **ready(restarts=3, conditions=EXHAUSTED)), DEAD),
        (KEY, CreateTrainJob(2, None), EXPIRE_TRAIN),
        "Starting",
    ),
    "an unrecorded next attempt is adopted when a raised limit continues the job": (
        see(
            job(spec={"retry": {"maxRestarts": 4}}, **ready(restarts=3, conditions=EXHAUSTED)),
            DEAD,
            run("j-train-2", RunState.ACTIVE),
        ),
        (EXPIRE_TRAIN,),
        "Starting",
    ),
    "an unchanged limit does not continue the job": (
        see(job(**ready(restarts=3, conditions=EXHAUSTED)), DEAD),
        (EXPIRE_TRAIN,),
        "PodKilled",
    ),
    "a prepare Job expires when the dataset is recorded": (
        see(job(dataset=DATASET), PREPARED),
        (KEY, CreateTrainJob(1, None), expire(PREPARE)),
        "Starting",
    ),
    "and while the attempt runs": (
        see(job(**ready()), PREPARED, run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (expire(PREPARE),),
        "Training",
    ),
    "but only once": (
        see(job(**ready()), dataclasses.replace(PREPARED, expires=True), run(TRAIN, RunState.ACTIVE, **RUNNING)),
        (),
        "Training",
    ),
    "a failed prepare Job expires when the next one is recorded": (
        see(job(restarts=1), run(PREPARE, RunState.FAILED), run("j-prepare-2", RunState.ACTIVE, **RUNNING)),
        (expire(PREPARE),),
        "Preparing",
    ),
    "a failed attempt expires when the next one is recorded": (
        see(job(**ready(attempt=2)), DEAD, run("j-train-2", RunState.ACTIVE, **RUNNING)),
        (EXPIRE_TRAIN,),
        "Training",
    ),
    "both kinds of Jobs of an ended job expire": (
        see(job(**ready(conditions=ENDED)), PREPARED, DEAD),
        (expire(PREPARE), EXPIRE_TRAIN),
        "InvalidRecords",
    ),
    "the prepare Job of a job that failed before its training expires": (
        see(job(conditions=ENDED), run(PREPARE, RunState.FAILED)),
        (expire(PREPARE),),
        "InvalidRecords",
    ),
    "a finished Job of an unrecorded attempt stays": (
        see(job(**ready(conditions=SUSPENDED)), run("j-train-2", RunState.FAILED, exit_code=1)),
        (),
        "Starting",
    ),
    "a Job with another name stays": (
        see(job(**ready(conditions=ENDED)), run("j-train-1-copy", RunState.FAILED)),
        (),
        "InvalidRecords",
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


def enact(observation: FineTuneObservation, actions: tuple[FineTuneAction, ...]) -> FineTuneObservation:
    """Return the observation after the cluster carried out the actions."""
    runs, lacks_key = dict(observation.runs), observation.lacks_key
    created = RunState.QUEUED if observation.job.queue_name else RunState.ACTIVE
    for action in actions:
        match action:
            case CreatePrepareJob(number):
                assert f"j-prepare-{number}" not in runs
                runs[f"j-prepare-{number}"] = run(f"j-prepare-{number}", RunState.ACTIVE)
            case CreateTrainJob(attempt):
                assert f"j-train-{attempt}" not in runs
                runs[f"j-train-{attempt}"] = run(f"j-train-{attempt}", created)
            case EnsureDocumentKey():
                lacks_key = False
            case DeleteJob(name):
                runs[name] = dataclasses.replace(runs[name], state=RunState.DELETING)
            case ExpireJob(name):
                assert runs[name].finished
                runs[name] = dataclasses.replace(runs[name], expires=True)
    return dataclasses.replace(observation, runs=runs, lacks_key=lacks_key)


def record(observation: FineTuneObservation, status: FineTuneJobStatus) -> FineTuneObservation:
    """Return the observation after the status was written."""
    return dataclasses.replace(observation, job=observation.job.updated(status=status))


def settle(observation: FineTuneObservation) -> FineTuneObservation:
    """Return the settled observation:
    decide, act and record until a decision has no action and changes nothing.
    """
    for _ in range(6):
        decision = decide(observation, NOW)
        before, observation = observation, record(enact(observation, decision.actions), decision.status)
        if observation == before:
            return observation
    raise AssertionError("the decisions do not come to rest")


@pytest.mark.parametrize("name", TABLE)
def test_a_settled_job_gets_the_same_decision_again(name: str):
    """A decision on a settled observation with its recorded status has no action and the same status."""
    rest = settle(TABLE[name][0])
    again = decide(rest, NOW)
    assert again.actions == ()
    assert again.status == rest.status


@pytest.mark.parametrize("name", TABLE)
def test_an_operator_that_is_killed_before_it_records_a_decision_does_not_act_twice(name: str):
    """A created Job is adopted, a deleted one is not deleted again, and the result is the same."""
    observation = TABLE[name][0]
    unrecorded = enact(observation, decide(observation, NOW).actions)
    assert decide(unrecorded, NOW).actions == ()
    assert settle(unrecorded) == settle(observation)


@pytest.mark.parametrize(
    ("spent", "pod", "seconds"),
    [
        (10, RUNNING, 30.0),
        (946, RUNNING, 4.0),
        (949, {**RUNNING, "started_at": ago(50.5)}, 1.0),
        (949, {"running": False}, 30.0),
    ],
)
def test_a_running_attempt_is_checked_again_soon_and_before_its_deadline(spent, pod, seconds):
    """The attempt ran 50 s of the job's 1000 s; earlier attempts count, too."""
    subject = job(spec={"activeDeadlineSeconds": 1000}, **ready(activeSeconds=spent))
    assert decide(see(subject, run(TRAIN, RunState.ACTIVE, **pod)), NOW).reconcile_after_seconds == seconds


def test_a_running_prepare_is_checked_again_before_its_deadline():
    for limit, seconds in ((1000, 30.0), (60, 10.0)):
        subject = job(spec={"activeDeadlineSeconds": limit})
        assert decide(see(subject, run(PREPARE, RunState.ACTIVE, **RUNNING)), NOW).reconcile_after_seconds == seconds


def test_a_failure_counts_as_a_restart_and_a_preemption_does_not():
    ended = {"ended_at": ago(20)}
    failed = decide(
        see(
            job(**ready(restarts=1)),
            dataclasses.replace(
                DEAD,
                **ended,
            ),
        ),
        ago(-60),
    ).status
    preempted = decide(see(job(**ready(restarts=1)), dataclasses.replace(DEAD, **ended, disrupted=True)), NOW).status
    assert (failed.attempt, failed.restarts) == (2, 2)
    assert (preempted.attempt, preempted.restarts) == (2, 1)


def test_a_prepare_job_from_before_the_suspension_is_deleted_before_the_next_one():
    """Prepare Jobs are numbered by restarts, so after a resume the old and the new one have the same name.
    The old one's time is counted already.
    """
    resumed = see(job(conditions=SUSPENDED))
    assert decide(resumed, NOW).actions == (CreatePrepareJob(1),)
    old = dataclasses.replace(resumed, runs={PREPARE: run(PREPARE, RunState.ACTIVE, **RUNNING)})
    assert decide(old, NOW).actions == (DeleteJob(PREPARE, f"{PREPARE}-uid"),)
    deleted = dataclasses.replace(resumed, runs={PREPARE: run(PREPARE, RunState.DELETING)})
    assert decide(deleted, NOW).actions == ()
    assert decide(deleted, NOW).status.conditions[0].reason == "Suspended"


def test_the_message_about_skipped_records_names_the_file_that_lists_them():
    address = "s3://bucket/out/runs/ns/j-u/invalid-records.jsonl"
    summary = DATASET_SUMMARY.updated(skipped=7, first_problems=("a/x.jsonl:1: not JSON",), problems_uri=address)
    done = run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=summary))
    conditions = {item.type: item for item in decide(see(job(), done), NOW).status.conditions}
    assert conditions["DatasetReady"].message.endswith(
        f"; 7 invalid records skipped (all are listed in {address}): a/x.jsonl:1: not JSON."
    )


def test_the_message_about_the_dataset_ends_with_the_notes_of_the_trainer():
    notes = (
        "Source a: 1 file was not read, because its name does not end in .jsonl: b.csv.",
        "Keys that were not read: id.",
    )
    summary = DATASET_SUMMARY.updated(notes=notes)
    done = run(PREPARE, RunState.SUCCEEDED, result=result(Outcome.SUCCEEDED, dataset=summary))
    conditions = {item.type: item for item in decide(see(job(), done), NOW).status.conditions}
    assert conditions["DatasetReady"].message.endswith(f" held-out records. {notes[0]} {notes[1]}")


def test_a_retry_names_the_cause_and_then_the_time_of_the_next_attempt():
    cause = "cannot write s3://bucket/x: timed out; check that the object store is up"
    retryable = PhaseResult(outcome=Outcome.RETRYABLE, reason="StorageUnreachable", message=cause)
    failed = run(TRAIN, RunState.FAILED, result=retryable)
    conditions = {item.type: item for item in decide(see(job(**ready()), failed), NOW).status.conditions}
    assert conditions["Reconciling"].reason == "Retrying"
    assert conditions["Reconciling"].message == (
        f"StorageUnreachable: {cause}. The next attempt starts at 2026-01-01T12:00:19Z."
    )


def test_a_failure_names_the_cause_and_then_the_limit_and_what_to_do():
    subject = job(spec={"retry": {"maxRestarts": 0}}, **ready())
    retryable = PhaseResult(outcome=Outcome.RETRYABLE, reason="StorageUnreachable", message="timed out")
    failed = run(TRAIN, RunState.FAILED, result=retryable)
    conditions = {item.type: item for item in decide(see(subject, failed), NOW).status.conditions}
    assert conditions["Succeeded"].message == (
        f"timed out. spec.retry.maxRestarts (0) allows no other attempt. {FineTuneJobReason.RESTARTS_EXHAUSTED.remedy}"
    )
