"""Build the status of a FineTuneJob: conditions, phase, and values that pods reported."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Sequence
from typing import TypedDict

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.phase_result import AdapterSummary, DatasetSummary
from tunewright_contracts.progress import LostCheckpoint, Phase, Progress
from tunewright_contracts.times import format_time
from tunewright_operator.api.conditions import ConditionStatus, FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import (
    AdapterStatus,
    DatasetStatus,
    FineTuneJob,
    FineTuneJobPhase,
    FineTuneJobStatus,
    ProgressStatus,
    ScoreStatus,
)
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.times import parse_time

MILESTONES = (
    FineTuneJobCondition.DATASET_READY,
    FineTuneJobCondition.TRAINED,
    FineTuneJobCondition.EVALUATED,
    FineTuneJobCondition.PUBLISHED,
)
"""The conditions that become True, in this order."""

_MAX_COUNT = 10**12
"""A larger step, speed or loss is not stored: the CRD limits its numbers and decimal strings."""
_MAX_SCORES = 8
"""The CRD's limit on ``status.evaluation``."""


class AttemptUpdate(TypedDict, total=False):
    """The status fields that a decision changes; a field that is left out stays as it is.

    Phase, conditions and generation are left out: `build_status` derives them from the `Report`.
    """

    attempt: int
    restarts: int
    micro_batch_size: int
    start_time: str
    active_seconds: int
    completion_time: str | None
    dataset: DatasetStatus
    progress: ProgressStatus
    evaluation: tuple[ScoreStatus, ...]
    adapter: AdapterStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a status reports after one reconciliation.

    ``outcome`` is the status of the condition Succeeded. ``stalled`` is the reason of the condition Stalled, None if no
    user must act. ``milestones`` replace the recorded ones of the same type; the others stay as they are.
    """

    phase: FineTuneJobPhase
    reason: str
    message: str
    outcome: ConditionStatus = "Unknown"
    reconciling: bool = True
    stalled: str | None = None
    milestones: Sequence[Wanted] = ()
    update: AttemptUpdate = dataclasses.field(default_factory=AttemptUpdate)


def build_status(job: FineTuneJob, report: Report, now: dt.datetime) -> FineTuneJobStatus:
    """Return the next status: the recorded one with the report's conditions and field updates."""
    wanted = [Wanted(FineTuneJobCondition.SUCCEEDED, report.outcome, report.reason, report.message)]
    replaced = {milestone.type: milestone for milestone in report.milestones}
    for name in MILESTONES:
        old = find_condition(job.status.conditions, name)
        kept = Wanted(name, old.status, old.reason, old.message) if old else pending(name)
        wanted.append(replaced.get(name, kept))
    if report.stalled is not None:
        wanted.append(Wanted(FineTuneJobCondition.STALLED, "True", report.stalled, report.message))
    elif report.reconciling and report.outcome == "Unknown":
        wanted.append(Wanted(FineTuneJobCondition.RECONCILING, "True", report.reason, report.message))
    generation = job.metadata.generation
    return job.status.updated(
        **report.update,
        phase=report.phase,
        observed_generation=generation,
        conditions=merge_conditions(job.status.conditions, wanted, generation=generation, now=now),
    )


def confirm_generation(job: FineTuneJob) -> FineTuneJobStatus:
    """Return the recorded status with the current generation, after a change of the spec that has no effect."""
    generation = job.metadata.generation
    conditions = tuple(item.updated(observed_generation=generation) for item in job.status.conditions)
    return job.status.updated(observed_generation=generation, conditions=conditions)


def pending(milestone: FineTuneJobCondition) -> Wanted:
    """Return a milestone that has not been reached yet."""
    return Wanted(milestone, "Unknown", FineTuneJobReason.PENDING)


def reached(milestone: FineTuneJobCondition, message: str = "") -> Wanted:
    """Return a milestone that has been reached."""
    reasons = {
        FineTuneJobCondition.DATASET_READY: FineTuneJobReason.PREPARED,
        FineTuneJobCondition.TRAINED: FineTuneJobReason.TRAINED,
        FineTuneJobCondition.EVALUATED: FineTuneJobReason.EVALUATED,
        FineTuneJobCondition.PUBLISHED: FineTuneJobReason.PUBLISHED,
    }
    return Wanted(milestone, "True", reasons[milestone], message)


def next_milestone(status: FineTuneJobStatus) -> FineTuneJobCondition:
    """Return the first milestone that is not True, which a failure now sets to False."""
    for name in MILESTONES:
        condition = find_condition(status.conditions, name)
        if condition is None or not condition.is_true:
            return name
    return FineTuneJobCondition.PUBLISHED


def milestones_of(progress: Progress) -> tuple[Wanted, ...]:
    """Return the milestones after DatasetReady, as far as a running trainer has reached them."""
    done = {Phase.EVALUATING: 1, Phase.PUBLISHING: 2, Phase.FINISHED: 2}.get(progress.phase, 0)
    found = reached_after_training(progress.lost_checkpoint)
    return tuple(found[index] if index < done else pending(name) for index, name in enumerate(MILESTONES[1:]))


def reached_after_training(lost: LostCheckpoint | None) -> tuple[Wanted, ...]:
    """Return the milestones after DatasetReady as reached; Trained shows a checkpoint that was lost."""
    message = lost.describe() if lost is not None else ""
    return tuple(reached(name, message if name is FineTuneJobCondition.TRAINED else "") for name in MILESTONES[1:])


def phase_of(progress: Progress) -> FineTuneJobPhase:
    """Return the FineTuneJob's phase while the trainer runs."""
    return {
        Phase.EVALUATING: FineTuneJobPhase.EVALUATING,
        Phase.PUBLISHING: FineTuneJobPhase.PUBLISHING,
        Phase.FINISHED: FineTuneJobPhase.PUBLISHING,
    }.get(progress.phase, FineTuneJobPhase.TRAINING)


def build_dataset_status(summary: DatasetSummary) -> DatasetStatus:
    """Return what the status records of the prepared data."""
    return DatasetStatus.model_validate(summary.model_dump(include=set(DatasetStatus.model_fields)))


def describe_dataset(summary: DatasetSummary) -> str:
    """Return a sentence with the counts, and the trainer's notes.

    If records were skipped, the sentence names the first ones and the list of all.
    """
    text = f"{summary.train} training, {summary.validation} validation and {summary.evaluation} held-out records"
    if summary.duplicates:
        text += f"; {summary.duplicates} duplicates dropped"
    if summary.skipped:
        text += f"; {summary.skipped} invalid records skipped"
        if summary.problems_uri:
            text += f" (all are listed in {summary.problems_uri})"
        if summary.first_problems:
            text += ": " + "; ".join(summary.first_problems)
    return " ".join((f"{text}.", *summary.notes))


def build_adapter_status(summary: AdapterSummary) -> AdapterStatus:
    """Return what the status records of the published adapter."""
    return AdapterStatus(
        uri=summary.uri,
        digest=summary.digest,
        rank=summary.rank,
        bytes=summary.bytes,
        base_model_digest=summary.base_model_digest,
        evaluation_dataset_uri=summary.evaluation_dataset_uri,
        evaluation_dataset_digest=summary.evaluation_dataset_digest,
        stop_token_ids=summary.stop_token_ids,
    )


def build_scores(scores: Sequence[Score]) -> tuple[ScoreStatus, ...]:
    """Return the scores as decimal strings; a score that is not a number is left out."""
    built = []
    for score in scores[:_MAX_SCORES]:
        tuned = format_decimal(score.tuned)
        if tuned is not None:
            base = format_decimal(score.base)
            built.append(ScoreStatus(type=score.type, base=base, tuned=tuned, samples=score.samples))
    return tuple(built)


def build_progress_status(progress: Progress, now: dt.datetime) -> ProgressStatus:
    """Return a trainer's progress, limited to values that the CRD accepts: the pod could report any."""
    total = _count(progress.total_steps)
    step = _count(min(progress.step, total) if total else progress.step)
    speed = progress.tokens_per_second
    return ProgressStatus(
        step=step,
        total_steps=total,
        percent=step * 100 // total if total else 0,
        train_loss=format_decimal(progress.train_loss),
        validation_loss=format_decimal(progress.validation_loss),
        tokens_per_second=_count(int(speed)) if speed is not None and math.isfinite(speed) else None,
        estimated_finish=_clean_time(progress.estimated_finish),
        checkpoint_step=None if progress.checkpoint_step is None else _count(progress.checkpoint_step),
        reported_at=format_time(now),
    )


def finish_progress(
    recorded: ProgressStatus | None, last_step: int | None, ended: dt.datetime
) -> ProgressStatus | None:
    """Return the progress of a training that is done; None if no step is known.

    Args:
        recorded: the last progress; None if a short training ended before the trainer was asked.
        last_step: the number of steps in the trainer's result.
        ended: when the trainer ended.
    """
    if recorded is None and last_step is None:
        return None
    last = recorded or ProgressStatus(total_steps=last_step or 0)
    return last.updated(step=last.total_steps, percent=100, estimated_finish=None, reported_at=format_time(ended))


def format_decimal(value: float | None) -> str | None:
    """Return a number with at most four decimals, without trailing zeros; None if it is not finite or too large."""
    if value is None or not math.isfinite(value) or abs(value) > _MAX_COUNT:
        return None
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def describe_progress(progress: Progress) -> str:
    """Return one sentence for the condition Reconciling, without numbers that change every few seconds."""
    words = {
        Phase.STARTING: "The trainer is starting.",
        Phase.PREPARING: "The trainer is fetching data.",
        Phase.LOADING_MODEL: "The trainer is loading the base model.",
        Phase.EVALUATING: "The held-out split is being scored with the adapter off and on.",
        Phase.PUBLISHING: "The adapter is being published.",
        Phase.FINISHED: "The trainer is done; its result is being read.",
    }
    resumed = f", resumed from step {progress.resumed_from_step}" if progress.resumed_from_step else ""
    text = words.get(progress.phase, f"Attempt {progress.attempt} is training{resumed}.")
    return join_sentences(text, progress.lost_checkpoint.describe()) if progress.lost_checkpoint is not None else text


def _count(value: int) -> int:
    """Return a number within the limits of the CRD."""
    return max(0, min(value, _MAX_COUNT))


def _clean_time(text: str | None) -> str | None:
    try:
        return text if text is not None and parse_time(text).tzinfo is not None else None
    except ValueError:
        return None
