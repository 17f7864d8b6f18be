"""The input and output of a decision about a FineTuneJob: what was observed, and which actions are to follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum

from tunewright_contracts.progress import Progress
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import Condition, FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import FineTuneJob, FineTuneJobStatus
from tunewright_operator.domain.job_run import ExpireJob, JobRun
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.domain.secrets import EnsureDocumentKey, StorageFacts


def prepare_job_name(job_name: str, number: int) -> str:
    """Return the name of the n-th prepare Job, from 1."""
    return f"{job_name}-prepare-{number}"


def train_job_name(job_name: str, attempt: int) -> str:
    """Return the name of an attempt's train Job, from 1."""
    return f"{job_name}-train-{attempt}"


class RunPhase(StrEnum):
    """The kind of Job that runs now or is next: a FineTuneJob has two kinds."""

    PREPARE = "prepare"
    """Reads, checks and splits the dataset; needs no accelerator."""
    TRAIN = "train"
    """Trains, scores and publishes the adapter."""


@dataclasses.dataclass(frozen=True, slots=True)
class FineTuneObservation:
    """Everything that a decision about a FineTuneJob depends on, read at one time.

    Only a new Job depends on ``base_model``, ``namespace_labels``, ``storage`` and ``missing_config_maps``: they are
    not read while a Job runs.
    """

    job: FineTuneJob
    base_model: BaseModel | None
    namespace_labels: Mapping[str, str]
    storage: StorageFacts
    missing_config_maps: tuple[str, ...] = ()
    allowed_scheduling: AllowedScheduling = dataclasses.field(default_factory=AllowedScheduling)
    runs: Mapping[str, JobRun] = dataclasses.field(default_factory=dict)
    """The Jobs that this resource controls, by name."""
    progress: Progress | None = None
    """What the running trainer reports now; None when it was not asked or did not answer."""
    lacks_key: bool = False
    """Whether a train pod cannot start because the Secret with its document key does not exist."""

    @property
    def status(self) -> FineTuneJobStatus:
        """The last recorded status."""
        return self.job.status

    @property
    def dataset_is_ready(self) -> bool:
        """Return whether the prepare phase has succeeded."""
        return self.status.dataset is not None

    @property
    def phase(self) -> RunPhase:
        """The phase of `current_run`."""
        return RunPhase.TRAIN if self.dataset_is_ready else RunPhase.PREPARE

    @property
    def attempt(self) -> int:
        """The number of the train Job that runs now or is next; the status may not have the first one yet."""
        return max(1, self.status.attempt)

    @property
    def current_name(self) -> str:
        """The name of the Job that runs now or is next."""
        name = self.job.metadata.name
        if not self.dataset_is_ready:
            return prepare_job_name(name, self.status.restarts + 1)
        return train_job_name(name, self.attempt)

    @property
    def current_run(self) -> JobRun | None:
        """The Job named `current_name`, if it exists."""
        return self.runs.get(self.current_name)

    @property
    def unfinished_runs(self) -> tuple[JobRun, ...]:
        """Every Job that holds resources now or may do so later."""
        return tuple(run for run in self.runs.values() if not run.finished)


@dataclasses.dataclass(frozen=True, slots=True)
class CreatePrepareJob:
    """Create the n-th prepare Job and its run spec."""

    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class CreateTrainJob:
    """Create the train Job of an attempt and its run spec."""

    attempt: int
    micro_batch_size: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job and its pods; the pods have their grace period to stop."""

    name: str
    uid: str


FineTuneAction = CreatePrepareJob | EnsureDocumentKey | CreateTrainJob | DeleteJob | ExpireJob


@dataclasses.dataclass(frozen=True, slots=True)
class FineTuneDecision:
    """What to do, what to record after that, and when to reconcile again (None: at the next event)."""

    status: FineTuneJobStatus
    actions: tuple[FineTuneAction, ...] = ()
    reconcile_after_seconds: float | None = None


def needs_prerequisites(job: FineTuneJob, runs: Mapping[str, JobRun]) -> bool:
    """Return whether a decision may create a Job, so that base model, Secret and ConfigMaps must be read."""
    if job.metadata.deletion_timestamp is not None or any(not run.finished for run in runs.values()):
        return False
    return not has_ended(job.status) or may_continue(job)


def may_continue(job: FineTuneJob) -> bool:
    """Return whether the limit that stopped a job has been raised since then."""
    stalled = find_condition(job.status.conditions, FineTuneJobCondition.STALLED)
    if stalled is None:
        return False
    if stalled.reason == FineTuneJobReason.RESTARTS_EXHAUSTED:
        return job.spec.retry.max_restarts > job.status.restarts
    if stalled.reason == FineTuneJobReason.DEADLINE_EXCEEDED:
        return job.spec.active_deadline_seconds > job.status.active_seconds
    return False


def headline(status: FineTuneJobStatus) -> Condition | None:
    """Return the Succeeded condition."""
    return find_condition(status.conditions, FineTuneJobCondition.SUCCEEDED)


def has_ended(status: FineTuneJobStatus) -> bool:
    """Return whether the job has succeeded or permanently failed."""
    condition = headline(status)
    return condition is not None and condition.status != "Unknown"


def is_suspended(status: FineTuneJobStatus) -> bool:
    """Return whether the suspension is recorded, together with how long the stopped attempt ran."""
    condition = headline(status)
    return condition is not None and condition.reason == FineTuneJobReason.SUSPENDED
