"""The outcome of a finished Job, as a table: its result, or the failure and whether another attempt may help."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.phase_result import AdapterSummary, DatasetSummary, Outcome, PhaseResult
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.observation import RunPhase
from tunewright_operator.domain.finetune.outcome import Failure, FailureKind, assess_run
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
DATASET = DatasetSummary(digest=DIGEST, uri="s3://bucket/d", train=8, validation=1, evaluation=1)
ADAPTER = AdapterSummary(uri="s3://bucket/a", digest=DIGEST, rank=16, bytes=1, base_model_digest=DIGEST)


def job(*, out_of_memory: str = "ReduceMicroBatch", batch_size: int = 8, micro_batch: int | None = None) -> FineTuneJob:
    return FineTuneJob.from_body(
        {
            "metadata": {"name": "j", "namespace": "ns"},
            "spec": {
                "baseModelRef": {"name": "smol"},
                "storage": {"secretRef": {"name": "s3"}},
                "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
                "output": {"uri": "s3://bucket/out"},
                "training": {"batchSize": batch_size},
                "retry": {"outOfMemory": out_of_memory},
            },
            "status": {} if micro_batch is None else {"microBatchSize": micro_batch},
        }
    )


def ended(pod: PodRun | None, state: RunState = RunState.FAILED, **changes: Any) -> JobRun:
    return dataclasses.replace(JobRun("j-train-1", "uid", state, ended_at=NOW, pod=pod), **changes)


def reported(outcome: Outcome, reason: str = "Because", **facts: Any) -> JobRun:
    result = PhaseResult(outcome=outcome, reason=reason, message="what, where, what to do", **facts)
    state = RunState.SUCCEEDED if outcome is Outcome.SUCCEEDED else RunState.FAILED
    return ended(PodRun("p", "p-uid", result=result), state)


KILLED = ended(PodRun("p", "p-uid", exit_code=1))
TABLE: dict[str, tuple[JobRun, FailureKind, str]] = {
    "a pod that the cluster disrupted": (ended(None, disrupted=True), FailureKind.UNCOUNTED, "Preempted"),
    "a pod that was disrupted while it reported": (
        dataclasses.replace(reported(Outcome.SUSPENDED), disrupted=True),
        FailureKind.UNCOUNTED,
        "Preempted",
    ),
    "a pod that is gone with its result": (ended(None, RunState.SUCCEEDED), FailureKind.COUNTED, "PodLost"),
    "a pod that is gone with its failure": (ended(None), FailureKind.COUNTED, "PodLost"),
    "a container without a termination message": (KILLED, FailureKind.COUNTED, "PodKilled"),
    "a pod that the kubelet evicted": (
        ended(PodRun("p", "p-uid", evicted="disk")),
        FailureKind.COUNTED,
        "PodEvicted",
    ),
    "a pod that was stopped": (reported(Outcome.SUSPENDED), FailureKind.UNCOUNTED, "Interrupted"),
    "a transient failure": (reported(Outcome.RETRYABLE), FailureKind.COUNTED, "Because"),
    "a permanent failure": (reported(Outcome.FAILED), FailureKind.FINAL, "Because"),
    "a reported text that is no reason": (reported(Outcome.FAILED, "two words"), FailureKind.FINAL, "PodKilled"),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("phase", RunPhase)
def test_a_failure_in_either_phase(name: str, phase: RunPhase):
    run, kind, reason = TABLE[name]
    failure = assess_run(job(), run, phase)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == (kind, reason)
    assert failure.message


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.ACTIVE, RunState.DELETING])
def test_a_job_that_has_not_finished_has_no_outcome(state: RunState):
    assert assess_run(job(), ended(KILLED.pod, state), RunPhase.TRAIN) is None


@pytest.mark.parametrize(
    ("phase", "complete", "lacking", "missing"),
    [
        (RunPhase.PREPARE, {"dataset": DATASET}, {"adapter": ADAPTER}, "a dataset"),
        (RunPhase.TRAIN, {"adapter": ADAPTER}, {"dataset": DATASET}, "an adapter"),
    ],
)
def test_a_success_needs_the_result_of_its_phase(
    phase: RunPhase, complete: dict[str, Any], lacking: dict[str, Any], missing: str
):
    run = reported(Outcome.SUCCEEDED, **complete)
    assert assess_run(job(), run, phase) is run.result
    failure = assess_run(job(), reported(Outcome.SUCCEEDED, **lacking), phase)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == (FailureKind.FINAL, "ResultIncomplete")
    assert missing in failure.message


def test_a_preempted_pod_that_had_succeeded_is_a_success():
    run = dataclasses.replace(reported(Outcome.SUCCEEDED, adapter=ADAPTER), disrupted=True)
    assert assess_run(job(), run, RunPhase.TRAIN) is run.result


OUT_OF_MEMORY = {
    "reported by the kernel": ended(PodRun("p", "p-uid", exit_code=137, out_of_memory=True)),
    "reported by the trainer": reported(Outcome.RETRYABLE, "OutOfMemory"),
}


@pytest.mark.parametrize("source", OUT_OF_MEMORY)
@pytest.mark.parametrize(
    ("phase", "subject", "kind", "smaller", "advice"),
    [
        (RunPhase.PREPARE, job(), FailureKind.FINAL, None, "spec.resources.limits.memory"),
        (RunPhase.TRAIN, job(out_of_memory="Fail"), FailureKind.FINAL, None, "spec.retry.outOfMemory is Fail"),
        (RunPhase.TRAIN, job(), FailureKind.COUNTED, 4, "at most 4 records"),
        (RunPhase.TRAIN, job(micro_batch=4), FailureKind.COUNTED, 2, "at most 2 records"),
        (RunPhase.TRAIN, job(micro_batch=1), FailureKind.FINAL, None, "One record at a time"),
    ],
)
def test_a_run_out_of_memory(
    source: str, phase: RunPhase, subject: FineTuneJob, kind: FailureKind, smaller: int | None, advice: str
):
    failure = assess_run(subject, OUT_OF_MEMORY[source], phase)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == (kind, "OutOfMemory")
    assert failure.micro_batch_size == smaller
    assert advice in failure.message
