"""Decide about a FineTuneJob: a pure function from one observation to actions and the next status.

Two rules make it safe to stop between any two writes. What an action creates has a deterministic name: repeated, the
action finds that it is done. What an action deletes was recorded in the status by an earlier reconciliation.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tunewright_contracts.phase_result import AdapterSummary, PhaseResult
from tunewright_contracts.times import format_time
from tunewright_operator.api.conditions import FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import FineTuneJob, FineTuneJobPhase, FineTuneJobStatus
from tunewright_operator.domain.conditions import Wanted
from tunewright_operator.domain.finetune.expiry import plan_expiry
from tunewright_operator.domain.finetune.observation import (
    CreatePrepareJob,
    CreateTrainJob,
    DeleteJob,
    FineTuneDecision,
    FineTuneObservation,
    has_ended,
    is_suspended,
    may_continue,
    prepare_job_name,
    train_job_name,
)
from tunewright_operator.domain.finetune.outcome import Failure, FailureKind, assess_run
from tunewright_operator.domain.finetune.prerequisites import find_problem
from tunewright_operator.domain.finetune.progress import report_prepare, report_train
from tunewright_operator.domain.finetune.retry import pause_before_restart
from tunewright_operator.domain.finetune.status import (
    MILESTONES,
    AttemptUpdate,
    Report,
    build_adapter_status,
    build_dataset_status,
    build_scores,
    build_status,
    confirm_generation,
    describe_dataset,
    finish_progress,
    next_milestone,
    pending,
    reached,
    reached_after_training,
)
from tunewright_operator.domain.job_run import JobRun, RunState
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.secrets import EnsureDocumentKey
from tunewright_operator.domain.sentences import join_sentences

PROGRESS_SECONDS = 5.0
"""Interval at which a running trainer is asked; most answers are not written (see `progress.WRITE_SECONDS`)."""
PENDING_SECONDS = 30.0
"""Interval at which to check what no watch reports: a Secret, a ConfigMap, a pod that does not start."""


def decide(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    """Return what to do with a FineTuneJob now."""
    if observation.job.metadata.deletion_timestamp is not None:
        return FineTuneDecision(observation.status)  # Jobs and ConfigMaps are deleted with their owner.
    decision, expired = _decide(observation, now), plan_expiry(observation)
    return dataclasses.replace(decision, actions=(*decision.actions, *expired)) if expired else decision


def _decide(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:  # noqa: PLR0911 - one return a rule
    job, status = observation.job, observation.status
    if has_ended(status):
        if may_continue(job):
            return _continue(observation, now)
        return FineTuneDecision(confirm_generation(job), _stop_unfinished(observation))
    run = observation.current_run
    verdict = assess_run(job, run, observation.phase) if run is not None else None
    if run is not None and isinstance(verdict, PhaseResult):
        return _accept(observation, run, verdict, now)
    if isinstance(verdict, Failure) and verdict.kind is FailureKind.FINAL:
        return _fail(observation, verdict, verdict.reason, now)
    if job.spec.suspend:
        return _suspend(observation, now)
    if is_suspended(status):
        return _resume(observation, now)
    if _deadline_left(observation, now) <= 0:
        return _fail_by_deadline(observation, now)
    if run is not None and isinstance(verdict, Failure):
        return _retry(observation, run, verdict, now)
    return _advance(observation, now)


def report_refusal(job: FineTuneJob, reason: str, message: str, now: dt.datetime) -> FineTuneJobStatus:
    """Return the status after the cluster refused an action. It records nothing else: the action is tried again."""
    report = Report(phase=FineTuneJobPhase.PENDING, reason=reason, message=message, stalled=reason)
    return build_status(job, report, now)


def _accept(observation: FineTuneObservation, run: JobRun, result: PhaseResult, now: dt.datetime) -> FineTuneDecision:
    if result.adapter is not None:
        return _accept_adapter(observation, run, result, result.adapter, now)
    assert result.dataset is not None  # noqa: S101 - assess_run accepts no prepare result without one
    message = describe_dataset(result.dataset)
    report = Report(
        phase=FineTuneJobPhase.PENDING,
        reason=FineTuneJobReason.PREPARED,
        message=message,
        milestones=[reached(FineTuneJobCondition.DATASET_READY, message)],
        update={
            **_update_at_end(observation, now),
            "dataset": build_dataset_status(result.dataset),
            # Restarts of the prepare phase do not count against the training.
            "restarts": 0,
        },
    )
    return FineTuneDecision(build_status(observation.job, report, now), reconcile_after_seconds=0)


def _accept_adapter(
    observation: FineTuneObservation, run: JobRun, result: PhaseResult, adapter: AdapterSummary, now: dt.datetime
) -> FineTuneDecision:
    ended = run.pod.finished_at if run.pod and run.pod.finished_at else now
    scores = build_scores(result.scores)
    update: AttemptUpdate = {
        **_update_at_end(observation, now),
        "completion_time": format_time(ended),
        "adapter": build_adapter_status(adapter),
        "evaluation": scores,
    }
    progress = finish_progress(observation.status.progress, result.progress_step, ended)
    if progress is not None:
        update["progress"] = progress
    summary = ", ".join(f"{score.type} {score.base or '?'} → {score.tuned}" for score in scores)
    report = Report(
        phase=FineTuneJobPhase.SUCCEEDED,
        reason=FineTuneJobReason.SUCCEEDED,
        message=f"Published {adapter.uri}" + (f" ({summary})." if summary else "."),
        outcome="True",
        milestones=reached_after_training(result.lost_checkpoint),
        update=update,
    )
    return FineTuneDecision(build_status(observation.job, report, now), reconcile_after_seconds=0)


def _fail(
    observation: FineTuneObservation, failure: Failure, stalled: str, now: dt.datetime, advice: str = ""
) -> FineTuneDecision:
    scores = build_scores(failure.result.scores) if failure.result else ()
    milestones = []
    if scores:  # The adapter was trained and scored, and a score was too low.
        milestones.append(reached_after_training(failure.result.lost_checkpoint if failure.result else None)[0])
        milestones.append(Wanted(FineTuneJobCondition.EVALUATED, "False", failure.reason, failure.message))
    else:
        milestones.append(Wanted(next_milestone(observation.status), "False", failure.reason, failure.message))
    update: AttemptUpdate = {**_update_at_end(observation, now), "completion_time": format_time(now)}
    if scores:
        update["evaluation"] = scores
    report = Report(
        phase=FineTuneJobPhase.FAILED,
        reason=failure.reason,
        message=join_sentences(failure.message, advice),
        outcome="False",
        stalled=stalled,
        milestones=milestones,
        update=update,
    )
    return FineTuneDecision(build_status(observation.job, report, now), reconcile_after_seconds=0)


def _fail_by_deadline(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    reason = FineTuneJobReason.DEADLINE_EXCEEDED
    limit = observation.job.spec.active_deadline_seconds
    message = join_sentences(f"The job's pods ran longer than spec.activeDeadlineSeconds ({limit} s).", reason.remedy)
    return _fail(observation, Failure(FailureKind.FINAL, reason.value, message), reason.value, now)


def _suspend(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    status = observation.status
    unfinished = observation.unfinished_runs
    message = "spec.suspend is true; no pod runs. Set it to false to continue."
    if unfinished:
        message = "spec.suspend is true; the pod is being stopped and writes a checkpoint."
    report = Report(
        phase=FineTuneJobPhase.SUSPENDED,
        reason=FineTuneJobReason.SUSPENDED,
        message=message,
        reconciling=False,
        update=_update_at_end(observation, now),
    )
    suspended = build_status(observation.job, report, now)
    if not is_suspended(status):
        return FineTuneDecision(suspended, reconcile_after_seconds=0)
    return FineTuneDecision(suspended, _stop_unfinished(observation))


def _resume(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    if _must_wait(observation):
        return FineTuneDecision(confirm_generation(observation.job), _stop_unfinished(observation))
    if observation.dataset_is_ready and observation.status.attempt > 0:
        return _start_attempt(observation, observation.attempt + 1, now)
    return _advance(observation, now)


def _continue(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    status = observation.status
    if _must_wait(observation):
        return FineTuneDecision(status, _stop_unfinished(observation))
    stalled = find_condition(status.conditions, FineTuneJobCondition.STALLED)
    counted = stalled is not None and stalled.reason == FineTuneJobReason.RESTARTS_EXHAUSTED
    update: AttemptUpdate = {"restarts": status.restarts + counted, "completion_time": None}
    if observation.dataset_is_ready:
        return _start_attempt(observation, observation.attempt + 1, now, update)
    return _start_prepare(observation, now, update)


def _retry(observation: FineTuneObservation, run: JobRun, failure: Failure, now: dt.datetime) -> FineTuneDecision:
    job, status = observation.job, observation.status
    # The name of a prepare Job contains the number of restarts, so each of its failures must count.
    counted = failure.kind is FailureKind.COUNTED or not observation.dataset_is_ready
    limit = job.spec.retry.max_restarts
    if counted and status.restarts >= limit:
        reason = FineTuneJobReason.RESTARTS_EXHAUSTED
        advice = join_sentences(f"spec.retry.maxRestarts ({limit}) allows no other attempt.", reason.remedy)
        return _fail(observation, failure, reason.value, now, advice)
    pause = pause_before_restart(status.restarts) if counted else dt.timedelta()
    start = (run.ended_at or now) + pause
    if now < start:
        report = Report(
            phase=FineTuneJobPhase.PENDING,
            reason=FineTuneJobReason.RETRYING,
            message=join_sentences(
                f"{failure.reason}: {failure.message}", f"The next attempt starts at {format_time(start)}."
            ),
        )
        return FineTuneDecision(build_status(job, report, now), reconcile_after_seconds=(start - now).total_seconds())
    update: AttemptUpdate = {**_update_at_end(observation, now), "restarts": status.restarts + counted}
    if not observation.dataset_is_ready:
        return _start_prepare(observation, now, update)
    if failure.micro_batch_size is not None:
        update["micro_batch_size"] = failure.micro_batch_size
    return _start_attempt(observation, observation.attempt + 1, now, update)


def _advance(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision:
    run = observation.current_run
    if run is None:
        if observation.dataset_is_ready:
            return _start_attempt(observation, observation.attempt, now)
        return _start_prepare(observation, now)
    return _watch(observation, run, now)


def _start_prepare(
    observation: FineTuneObservation, now: dt.datetime, update: AttemptUpdate | None = None
) -> FineTuneDecision:
    number = (update or {}).get("restarts", observation.status.restarts) + 1
    there = prepare_job_name(observation.job.metadata.name, number) in observation.runs
    blocked = None if there else _find_block(observation, now)
    if blocked is not None:
        return blocked
    report = Report(
        phase=FineTuneJobPhase.PREPARING,
        reason=FineTuneJobReason.PREPARING,
        message="The dataset is being read, checked and split.",
        milestones=[pending(name) for name in MILESTONES],
        update=update or {},
    )
    status = build_status(observation.job, report, now)
    return FineTuneDecision(status, () if there else (CreatePrepareJob(number),), PENDING_SECONDS)


def _start_attempt(
    observation: FineTuneObservation, attempt: int, now: dt.datetime, update: AttemptUpdate | None = None
) -> FineTuneDecision:
    update = update or {}
    # The operator may have stopped between creating the Job and recording it. Such a Job is used as it is.
    there = train_job_name(observation.job.metadata.name, attempt) in observation.runs
    blocked = None if there else _find_block(observation, now)
    if blocked is not None:
        return blocked
    queue = observation.job.queue_name
    report = Report(
        phase=FineTuneJobPhase.QUEUED if queue else FineTuneJobPhase.PENDING,
        reason=CommonReason.QUEUED if queue else FineTuneJobReason.STARTING,
        message=f"Attempt {attempt} waits in queue {queue!r}." if queue else f"Attempt {attempt} starts.",
        milestones=[pending(name) for name in MILESTONES[1:]],
        update={**update, "attempt": attempt},
    )
    status = build_status(observation.job, report, now)
    actions = () if there else (EnsureDocumentKey(), CreateTrainJob(attempt, status.micro_batch_size))
    return FineTuneDecision(status, actions, PENDING_SECONDS)


def _find_block(observation: FineTuneObservation, now: dt.datetime) -> FineTuneDecision | None:
    """Return the decision to wait or to fail if a Job must not be created now."""
    problem = find_problem(observation)
    if problem is None:
        return None
    if problem.final:
        failure = Failure(FailureKind.FINAL, problem.reason.value, problem.message)
        return _fail(observation, failure, problem.reason.value, now)
    report = Report(
        phase=FineTuneJobPhase.PENDING,
        reason=problem.reason.value,
        message=problem.message,
        stalled=None if problem.transient else problem.reason.value,
        update={"completion_time": None},
    )
    return FineTuneDecision(build_status(observation.job, report, now), reconcile_after_seconds=PENDING_SECONDS)


def _watch(observation: FineTuneObservation, run: JobRun, now: dt.datetime) -> FineTuneDecision:
    """Report on a Job that has not finished."""
    update = _update_from_run(observation, run)
    running = run.state is RunState.ACTIVE and run.pod is not None and run.pod.running
    reconcile_after = PENDING_SECONDS
    if running:
        reconcile_after = min(reconcile_after, max(1.0, _deadline_left(observation, now)))
    if observation.dataset_is_ready:
        report = report_train(observation, run, update, now)
    else:
        report = report_prepare(run, update, now)
    report = _add_changes(report, run)
    # The Secret may have been deleted after the Job was created, or while the Job waited in a queue.
    actions = (EnsureDocumentKey(),) if observation.lacks_key else ()
    return FineTuneDecision(build_status(observation.job, report, now), actions, reconcile_after)


def _add_changes(report: Report, run: JobRun) -> Report:
    """Add what admission changed of the pod: too little memory or CPU fails a job later, or makes it slow."""
    changes = run.pod.changes if run.pod is not None else ""
    if not changes or changes in report.message:  # A repeated report has it already.
        return report
    return dataclasses.replace(report, message=join_sentences(report.message, changes))


def _must_wait(observation: FineTuneObservation) -> bool:
    """Return whether a stopped Job still has its pod.

    The Job of the next attempt does not count: the operator stopped before it recorded that Job.
    """
    successor = train_job_name(observation.job.metadata.name, observation.attempt + 1)
    return any(run.name != successor for run in observation.unfinished_runs)


def _stop_unfinished(observation: FineTuneObservation) -> tuple[DeleteJob, ...]:
    stoppable = [run for run in observation.unfinished_runs if run.state is not RunState.DELETING]
    return tuple(DeleteJob(run.name, run.uid) for run in sorted(stoppable, key=lambda run: run.name))


def _deadline_left(observation: FineTuneObservation, now: dt.datetime) -> float:
    run = observation.current_run
    running = run.active_seconds(now) if run is not None and not run.finished else 0
    return observation.job.spec.active_deadline_seconds - observation.status.active_seconds - running


def _update_from_run(observation: FineTuneObservation, run: JobRun) -> AttemptUpdate:
    """Return what is known from the Job itself: its attempt, which may not be recorded yet, and its start."""
    update: AttemptUpdate = {"attempt": observation.attempt} if observation.dataset_is_ready else {}
    if observation.status.start_time is None and run.pod is not None and run.pod.started_at is not None:
        update["start_time"] = format_time(run.pod.started_at)
    return update


def _update_at_end(observation: FineTuneObservation, now: dt.datetime) -> AttemptUpdate:
    """Return `_update_from_run` and the active seconds of a run that ends; a suspension has recorded both before."""
    run = observation.current_run
    if run is None or is_suspended(observation.status):
        return {}
    active = observation.status.active_seconds + run.active_seconds(now)
    return {"active_seconds": active, **_update_from_run(observation, run)}
