"""Assess a finished prepare or train Job: its result, or why there is none and whether another attempt helps."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.observation import RunPhase
from tunewright_operator.domain.finetune.retry import reduce_micro_batch
from tunewright_operator.domain.job_run import JobRun, RunState
from tunewright_operator.domain.reasons.common import condition_reason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.sentences import join_sentences


class FailureKind(StrEnum):
    """What may follow a failure."""

    FINAL = "Final"
    """The same input fails again; a user must change something."""
    COUNTED = "Counted"
    """Another attempt may succeed; it counts against ``maxRestarts``."""
    UNCOUNTED = "Uncounted"
    """The cluster removed the pod, which is not the job's fault; another attempt does not count."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a run has no result; ``micro_batch_size`` is set if the next attempt must use a smaller one."""

    kind: FailureKind
    reason: str
    message: str
    micro_batch_size: int | None = None
    result: PhaseResult | None = None


def assess_run(  # noqa: PLR0911 - one return a rule
    job: FineTuneJob, run: JobRun, phase: RunPhase
) -> PhaseResult | Failure | None:
    """Return the result of a run that succeeded or the failure of one that failed; None while it is not finished."""
    if not run.finished:
        return None
    result = run.result
    if run.disrupted and (result is None or result.outcome is not Outcome.SUCCEEDED):
        return _fail(
            FailureKind.UNCOUNTED,
            FineTuneJobReason.PREEMPTED,
            join_sentences(f"The cluster removed the pod of Job {run.name}{f': {run.failure}' if run.failure else ''}"),
        )
    if run.pod is None:
        detail = "completed" if run.state is RunState.SUCCEEDED else f"failed ({run.failure})"
        return _fail(
            FailureKind.COUNTED,
            FineTuneJobReason.POD_LOST,
            f"Job {run.name} {detail}, but its pod is gone and the result is unknown; the phase runs again.",
        )
    if result is not None:
        return _assess_result(job, run, result, phase)
    if run.pod.out_of_memory:
        message = join_sentences("The kernel killed the container at its memory limit.", run.pod.describe_exit())
        return _assess_memory(job, message, phase)
    if run.pod.evicted:
        return _fail(
            FailureKind.COUNTED,
            FineTuneJobReason.POD_EVICTED,
            join_sentences(f"Pod {run.pod.name} was evicted: {run.pod.evicted}"),
        )
    return _fail(FailureKind.COUNTED, FineTuneJobReason.POD_KILLED, run.pod.describe_exit())


def _assess_result(job: FineTuneJob, run: JobRun, result: PhaseResult, phase: RunPhase) -> PhaseResult | Failure:
    match result.outcome:
        case Outcome.SUCCEEDED:
            found, missing = (
                (result.adapter, "an adapter") if phase is RunPhase.TRAIN else (result.dataset, "a dataset")
            )
            if found is None:
                return _fail(
                    FailureKind.FINAL,
                    FineTuneJobReason.RESULT_INCOMPLETE,
                    join_sentences(
                        f"Pod {run.pod.name if run.pod else ''} reported success without {missing}.",
                        FineTuneJobReason.RESULT_INCOMPLETE.remedy,
                    ),
                )
            return result
        case Outcome.SUSPENDED:
            return _fail(
                FailureKind.UNCOUNTED,
                FineTuneJobReason.INTERRUPTED,
                join_sentences(f"The pod of Job {run.name} was stopped: {result.message}"),
            )
        case Outcome.RETRYABLE if result.reason == FineTuneJobReason.OUT_OF_MEMORY:
            return _assess_memory(job, join_sentences(result.message, run.pod.changes if run.pod else ""), phase)
        case Outcome.RETRYABLE | Outcome.FAILED:
            kind = FailureKind.COUNTED if result.outcome is Outcome.RETRYABLE else FailureKind.FINAL
            reason = condition_reason(result.reason, FineTuneJobReason.POD_KILLED)
            return Failure(kind, reason, result.message, result=result)


def _assess_memory(job: FineTuneJob, message: str, phase: RunPhase) -> Failure:
    reason = FineTuneJobReason.OUT_OF_MEMORY
    if phase is RunPhase.PREPARE:
        return _fail(
            FailureKind.FINAL,
            reason,
            join_sentences(message, "Preparing needs more memory: raise spec.resources.limits.memory."),
        )
    if job.spec.retry.out_of_memory == "Fail":
        why = "There is no other attempt, because spec.retry.outOfMemory is Fail."
        return _fail(FailureKind.FINAL, reason, join_sentences(message, why, reason.remedy))
    smaller = reduce_micro_batch(job.status.micro_batch_size, job.spec.training.batch_size)
    if smaller is None:
        why = "One record at a time was too much."
        return _fail(FailureKind.FINAL, reason, join_sentences(message, why, reason.remedy))
    following = f"The next attempt trains at most {smaller} records at a time."
    return Failure(FailureKind.COUNTED, reason, join_sentences(message, following), smaller)


def _fail(kind: FailureKind, reason: FineTuneJobReason, message: str) -> Failure:
    return Failure(kind, reason.value, message)
