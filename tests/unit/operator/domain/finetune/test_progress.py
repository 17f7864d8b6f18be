"""What is reported of a Job that has not finished: queued, starting, or the progress of its trainer."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.progress import Phase, Progress
from tunewright_contracts.times import format_time
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.observation import FineTuneObservation
from tunewright_operator.domain.finetune.progress import report_prepare, report_train
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState
from tunewright_operator.domain.secrets import StorageFacts, UseFacts

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
UNSCHEDULABLE = PodRun("p", "p-uid", waiting="Unschedulable: no gpu")
RUNNING = PodRun("p", "p-uid", running=True)
LINGERING = PodRun("p", "p-uid", finished_at=NOW - dt.timedelta(minutes=1), lingering=("a-proxy",))


def make_progress(phase: Phase = Phase.TRAINING, *, step: int = 3, attempt: int = 2) -> Progress:
    return Progress(phase=phase, attempt=attempt, step=step, total_steps=10, updated_at="2026-01-01T00:00:00Z")


def see(
    progress: Progress | None = None, /, *, labels: dict[str, str] | None = None, **status: Any
) -> FineTuneObservation:
    dataset = {"digest": "sha256:1", "uri": "s3://bucket/x", "train": 8, "validation": 1, "evaluation": 1}
    job = FineTuneJob.from_body(
        {
            "metadata": {"name": "j", "namespace": "ns", "labels": labels or {}},
            "spec": {
                "baseModelRef": {"name": "smol"},
                "storage": {"secretRef": {"name": "s3"}},
                "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
                "output": {"uri": "s3://bucket/out"},
            },
            "status": {"dataset": dataset, "attempt": 2, **status},
        }
    )
    return FineTuneObservation(
        job=job,
        base_model=None,
        namespace_labels={},
        storage=StorageFacts(secret=UseFacts(exists=True)),
        progress=progress,
    )


def run(pod: PodRun | None = None, state: RunState = RunState.ACTIVE) -> JobRun:
    return JobRun("j-train-2", "uid", state, pod=pod)


def test_a_prepare_job_is_running_or_its_pod_waits() -> None:
    preparing = report_prepare(run(RUNNING), {"restarts": 1}, NOW)
    assert (preparing.phase, preparing.reason, preparing.update) == ("Preparing", "Preparing", {"restarts": 1})
    waiting = report_prepare(run(UNSCHEDULABLE), {}, NOW)
    assert (waiting.phase, waiting.reason) == ("Preparing", "PodPending")
    assert "Unschedulable: no gpu" in waiting.message
    suspended = report_prepare(run(state=RunState.QUEUED), {}, NOW)
    assert (suspended.phase, suspended.reason) == ("Queued", "Queued")
    assert "suspended by another controller" in suspended.message


QUEUE = {"kueue.x-k8s.io/queue-name": "gpu"}


@pytest.mark.parametrize(
    ("observation", "job", "phase", "reason", "words"),
    [
        (see(labels=QUEUE), run(state=RunState.QUEUED), "Queued", "Queued", "'gpu'"),
        (see(), run(state=RunState.QUEUED), "Queued", "Queued", "Attempt 2"),
        (see(), run(state=RunState.DELETING), "Pending", "Starting", "j-train-2"),
        (see(), run(), "Pending", "Starting", "Attempt 2"),
        (see(), run(PodRun("p", "p-uid")), "Pending", "Starting", "Attempt 2"),
        (see(), run(UNSCHEDULABLE), "Pending", "PodPending", "Unschedulable: no gpu"),
        (see(), run(LINGERING), "Pending", "SidecarRunning", "a-proxy"),
        (see(), run(RUNNING), "Training", "Training", "Attempt 2"),
        (see(make_progress(attempt=1)), run(RUNNING), "Training", "Training", "Attempt 2"),
        (see(make_progress()), run(RUNNING), "Training", "Training", "Attempt 2"),
        (see(make_progress(Phase.EVALUATING)), run(RUNNING), "Evaluating", "Evaluating", ""),
        (see(make_progress(Phase.PUBLISHING)), run(RUNNING), "Publishing", "Publishing", ""),
        (see(make_progress(Phase.LOADING_MODEL, step=0)), run(RUNNING), "Training", "Training", ""),
    ],
    ids=[
        "in a queue",
        "suspended by another controller",
        "being deleted",
        "without a pod",
        "the pod starts",
        "the pod waits",
        "an added container still runs",
        "no progress was read",
        "progress of the last attempt",
        "training",
        "scoring",
        "publishing",
        "loading the model",
    ],
)
def test_a_train_job(observation: FineTuneObservation, job: JobRun, phase: str, reason: str, words: str) -> None:
    report = report_train(observation, job, {"attempt": 2}, NOW)
    assert (report.phase, report.reason) == (phase, reason)
    assert words in report.message
    assert report.update["attempt"] == 2


@pytest.mark.parametrize(
    ("progress", "recorded"),
    [
        (make_progress(), True),
        (make_progress(step=0), True),
        (make_progress(Phase.EVALUATING), True),
        (make_progress(Phase.LOADING_MODEL, step=0), False),
        (make_progress(attempt=1), False),
        (None, False),
    ],
)
def test_progress_is_recorded_from_the_start_of_training(progress: Progress | None, recorded: bool) -> None:
    report = report_train(see(progress), run(RUNNING), {}, NOW)
    assert ("progress" in report.update) is recorded
    if recorded:
        assert progress is not None
        assert report.update["progress"].step == progress.step


@pytest.mark.parametrize("pod", [RUNNING, PodRun("p", "p-uid", finished_at=NOW)], ids=["not read", "just finished"])
def test_the_last_report_is_repeated_while_the_trainer_is_not_read(pod: PodRun) -> None:
    last = {
        "type": "Reconciling",
        "status": "True",
        "reason": "Evaluating",
        "message": "4 of 15 records",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    report = report_train(see(conditions=[last], phase="Evaluating"), run(pod), {}, NOW)
    assert (report.phase, report.reason, report.message) == ("Evaluating", "Evaluating", "4 of 15 records")
    pending = {**last, "reason": "PodPending"}
    report = report_train(see(conditions=[pending], phase="Pending"), run(pod), {}, NOW)
    assert (report.phase, report.reason) == ("Training", "Training")


def recorded_ago(seconds: float, **changes: Any) -> dict[str, Any]:
    """Return a status with a progress that was recorded so long ago."""
    last = {
        "type": "Reconciling",
        "status": "True",
        "reason": "Training",
        "message": "Attempt 2 is training.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    progress = {"step": 2, "totalSteps": 10, "reportedAt": format_time(NOW - dt.timedelta(seconds=seconds))}
    return {"phase": "Training", "conditions": [last | changes.pop("condition", {})], "progress": progress | changes}


TRAINING = make_progress()
WITH_CHECKPOINT = TRAINING.updated(checkpoint_step=3)


@pytest.mark.parametrize(
    ("status", "progress", "written"),
    [
        (recorded_ago(5), TRAINING, False),
        (recorded_ago(14), TRAINING, False),
        (recorded_ago(15), TRAINING, True),
        (recorded_ago(-60), TRAINING, True),
        (recorded_ago(5, reportedAt=None), TRAINING, True),
        (recorded_ago(5), make_progress(Phase.EVALUATING), True),
        (recorded_ago(5, condition={"message": "Attempt 1 is training."}), TRAINING, True),
        (recorded_ago(5, condition={"reason": "Starting"}), TRAINING, True),
        (recorded_ago(5, condition={"message": "Attempt 2 is training. It got less memory."}), TRAINING, False),
        (recorded_ago(5), WITH_CHECKPOINT, True),
        (recorded_ago(5, checkpointStep=1), WITH_CHECKPOINT, False),
        ({}, TRAINING, True),
    ],
    ids=[
        "5 s later",
        "14 s later",
        "15 s later",
        "after the clock was set back",
        "of an earlier version",
        "another phase",
        "another attempt",
        "another reason",
        "with what admission changed",
        "the first checkpoint",
        "a later checkpoint",
        "the first progress",
    ],
)
def test_progress_is_written_after_some_time_or_with_other_news(
    status: dict[str, Any], progress: Progress, written: bool
) -> None:
    report = report_train(see(progress, **status), run(RUNNING), {}, NOW)
    assert ("progress" in report.update) is written
