"""Report a Job that has not finished: queued, starting, or the progress that its trainer reports."""

from __future__ import annotations

import dataclasses
import datetime as dt

from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.api.conditions import FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import FineTuneJobPhase, FineTuneJobStatus
from tunewright_operator.domain.finetune.observation import FineTuneObservation
from tunewright_operator.domain.finetune.status import (
    AttemptUpdate,
    Report,
    build_progress_status,
    describe_progress,
    milestones_of,
    phase_of,
)
from tunewright_operator.domain.job_run import JobRun, RunState
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.times import seconds_since

WRITE_SECONDS = 15.0
"""The interval at which the progress of a training is written while nothing else changes."""


def report_prepare(run: JobRun, update: AttemptUpdate, now: dt.datetime) -> Report:
    """Return the report on a prepare Job that has not finished."""
    wait = run.explain_waiting(now)
    if wait is None:
        message = "The dataset is being read, checked and split."
        return Report(FineTuneJobPhase.PREPARING, FineTuneJobReason.PREPARING, message, update=update)
    phase = FineTuneJobPhase.QUEUED if wait.reason is CommonReason.QUEUED else FineTuneJobPhase.PREPARING
    return Report(phase, wait.reason, f"The prepare pod waits: {wait.message}", update=update)


def report_train(  # noqa: PLR0911 - one return a rule
    observation: FineTuneObservation, run: JobRun, update: AttemptUpdate, now: dt.datetime
) -> Report:
    """Return the report on a train Job that has not finished."""
    status, attempt = observation.status, observation.attempt
    pod, progress = run.pod, observation.progress
    if run.state is RunState.QUEUED:
        queue = observation.job.queue_name
        state = f"waits in queue {queue!r}" if queue else "is suspended by another controller"
        message = f"Attempt {attempt} {state}."
        return Report(FineTuneJobPhase.QUEUED, CommonReason.QUEUED, message, update=update)
    if run.state is RunState.DELETING:
        message = f"Job {run.name} is being deleted, but not by the operator; it is created again when it is gone."
        return Report(FineTuneJobPhase.PENDING, FineTuneJobReason.STARTING, message, update=update)
    wait = run.explain_waiting(now)
    if wait is not None:
        message = f"The pod of attempt {attempt} waits: {wait.message}"
        return Report(FineTuneJobPhase.PENDING, wait.reason, message, update=update)
    if pod is not None and pod.finished_at is not None:
        # The Job controller has not counted the pod yet; after that, its result is read.
        return _repeat_report(status, attempt, update)
    if pod is None or not pod.running:
        return Report(FineTuneJobPhase.PENDING, FineTuneJobReason.STARTING, f"Attempt {attempt} starts.", update=update)
    if progress is None or progress.attempt != attempt:
        return _repeat_report(status, attempt, update)
    phase = phase_of(progress)
    reason = {
        FineTuneJobPhase.EVALUATING: FineTuneJobReason.EVALUATING,
        FineTuneJobPhase.PUBLISHING: FineTuneJobReason.PUBLISHING,
    }.get(phase, FineTuneJobReason.TRAINING)
    report = Report(phase, reason, describe_progress(progress), milestones=milestones_of(progress), update=update)
    if (progress.phase is Phase.TRAINING or progress.step > 0) and _is_news(status, report, progress, now):
        return dataclasses.replace(report, update=update | {"progress": build_progress_status(progress, now)})
    return report


def _is_news(status: FineTuneJobStatus, report: Report, progress: Progress, now: dt.datetime) -> bool:
    """Return whether to write the progress now.

    It is written after `WRITE_SECONDS`, and at once with what is written anyway: a change of the phase, a milestone,
    the start of another attempt. The first checkpoint is written at once, too: from then on, a restart loses less.
    """
    recorded, last = status.progress, find_condition(status.conditions, FineTuneJobCondition.RECONCILING)
    if recorded is None or recorded.reported_at is None or last is None:
        return True
    if (status.phase, last.reason) != (report.phase, report.reason) or not last.message.startswith(report.message):
        return True
    if recorded.checkpoint_step is None and progress.checkpoint_step is not None:
        return True
    # A clock that was set back does not keep the progress from being written.
    return not 0 <= seconds_since(recorded.reported_at, now) < WRITE_SECONDS


def _repeat_report(status: FineTuneJobStatus, attempt: int, update: AttemptUpdate) -> Report:
    """Return the last report while the trainer gives none; without a last report, that the attempt runs."""
    last = find_condition(status.conditions, FineTuneJobCondition.RECONCILING)
    busy = {FineTuneJobReason.TRAINING, FineTuneJobReason.EVALUATING, FineTuneJobReason.PUBLISHING}
    if last is not None and last.reason in busy and status.phase is not None:
        return Report(status.phase, last.reason, last.message, update=update)
    message = f"Attempt {attempt} runs."
    return Report(FineTuneJobPhase.TRAINING, FineTuneJobReason.TRAINING, message, update=update)
