"""Which Jobs of a FineTuneJob expire: those that have ended and whose result is in the status."""

from __future__ import annotations

from collections.abc import Iterator

from tunewright_operator.domain.finetune.observation import (
    FineTuneObservation,
    has_ended,
    prepare_job_name,
    train_job_name,
)
from tunewright_operator.domain.job_run import ExpireJob, JobRun, expire_finished


def plan_expiry(observation: FineTuneObservation) -> tuple[ExpireJob, ...]:
    """Return the actions on the Jobs whose result the status had when it was read.

    The current Job is not among them before the FineTuneJob has ended: a failure that is followed by another attempt is
    recorded together with that attempt. Nor is a Job that was created for an attempt that is not recorded yet.
    """
    return expire_finished(_list_recorded(observation))


def _list_recorded(observation: FineTuneObservation) -> Iterator[JobRun]:
    name, status = observation.job.metadata.name, observation.status
    ended = has_ended(status)
    for run in observation.runs.values():
        prepare = _read_number(run.name, prepare_job_name(name, 0))
        train = _read_number(run.name, train_job_name(name, 0))
        if prepare is not None and (observation.dataset_is_ready or prepare <= status.restarts + ended):
            yield run
        if train is not None and train < status.attempt + ended:
            yield run


def _read_number(name: str, numbered: str) -> int | None:
    """Return the number at the end of a Job's name; None if it differs in more than that from ``numbered``."""
    number = name.removeprefix(numbered.removesuffix("0"))
    return int(number) if number != name and number.isdecimal() else None
