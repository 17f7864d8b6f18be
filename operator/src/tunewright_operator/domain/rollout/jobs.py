"""The FineTuneJobs that a selector matches: the newest one, and those that are passed over.

The newest job is the one that was created last. The API server writes the creation time, so no decision depends on a
node's clock, and a job does not become newer by finishing later. Of jobs that were created in the same second, the last
one by name is the newest.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from tunewright_contracts.times import format_time
from tunewright_contracts.values import show
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, ConsideredJob, PassedOverJob, SourceJob
from tunewright_operator.api.conditions import Condition, FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import AdapterStatus, FineTuneJob
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why

MAX_PASSED_OVER, MAX_MESSAGE = 10, 1024
"""The CRD's limits on `status.passedOverJobs`."""


@dataclasses.dataclass(frozen=True, slots=True)
class SelectableJob:
    """What a selection reads of a FineTuneJob. While the job runs, its progress changes nothing here."""

    name: str
    uid: str
    created_at: str
    """The API server's RFC 3339 time."""
    labels: Mapping[str, str]
    result: Condition | None = None
    """The condition Succeeded once the job has ended, else None."""
    adapter: AdapterStatus | None = None


def to_selectable(job: FineTuneJob) -> SelectableJob:
    """Return what a selection reads of a job."""
    result = find_condition(job.status.conditions, FineTuneJobCondition.SUCCEEDED)
    metadata = job.metadata
    return SelectableJob(
        name=metadata.name,
        uid=metadata.uid,
        created_at=metadata.creation_timestamp,
        labels=metadata.labels,
        result=result if result is not None and result.status != "Unknown" else None,
        adapter=job.status.adapter,
    )


@dataclasses.dataclass(frozen=True)
class Creation:
    """When a job was created; RFC 3339 times in UTC with whole seconds sort as text."""

    time: str
    name: str
    uid: str

    @property
    def order(self) -> tuple[str, str]:
        """The sort key: time, then name."""
        return (self.time, self.name)

    def is_after(self, other: Creation) -> bool:
        """Return whether a job is newer than another one.

        Two jobs with the same name, of which one was deleted, have different UIDs. In the same second, the job that
        exists is the newer one.
        """
        return self.order > other.order or (self.order == other.order and self.uid != other.uid)


def find_creation(job: SelectableJob) -> Creation:
    """Return when a job was created."""
    return Creation(job.created_at, job.name, job.uid)


def has_adapter(job: SelectableJob) -> bool:
    """Return whether a job has succeeded and published an adapter."""
    return job.result is not None and job.result.is_true and job.adapter is not None


def find_failure(job: SelectableJob) -> Condition | None:
    """Return the condition Succeeded if it is False."""
    return job.result if job.result is not None and job.result.status == "False" else None


def list_limits(status: AdapterDeploymentStatus, jobs: Iterable[SelectableJob]) -> tuple[Creation, ...]:
    """Return the creations that a selected job must be after.

    They are those of the last considered job and of the jobs of the stable revision and the candidate. The first
    differs from the others after a rollback, and after the spec named a job. Earlier versions did not record when a
    revision's job was created; then it is known only while the job exists.
    """
    existing = {job.uid: job.created_at for job in jobs}
    revisions = [revision for revision in (status.stable, status.candidate) if revision is not None]
    records: list[ConsideredJob | SourceJob | None] = [status.last_considered_job]
    records += [revision.source_job for revision in revisions]
    limits: list[Creation] = []
    for record in records:
        if record is None:
            continue
        time = record.creation_time or existing.get(record.uid)
        if time is not None:
            limits.append(Creation(time, record.name, record.uid))
    return tuple(limits)


def list_named_jobs(status: AdapterDeploymentStatus) -> tuple[str, ...]:
    """Return the names of the jobs whose creation `list_limits` may have to look up."""
    records: list[ConsideredJob | SourceJob | None] = [status.last_considered_job]
    records += [revision.source_job for revision in (status.stable, status.candidate) if revision is not None]
    return tuple(record.name for record in records if record is not None and record.creation_time is None)


def find_newest(selected: Iterable[SelectableJob], limits: Sequence[Creation]) -> SelectableJob | None:
    """Return the newest job with an adapter that is after all limits; None if there is none."""
    fresh = [job for job in selected if has_adapter(job) and _is_fresh(job, limits)]
    return max(fresh, key=lambda job: find_creation(job).order, default=None)


def list_passed_over(
    status: AdapterDeploymentStatus, selected: Iterable[SelectableJob], limits: Sequence[Creation]
) -> tuple[PassedOverJob, ...]:
    """Return the jobs that do not become the candidate, the newest first, with the reason: at most `MAX_PASSED_OVER`.

    They are the jobs that succeeded but are older than a limit, and the newer ones that failed. A job whose adapter
    was a candidate is not passed over.
    """
    known = [revision for revision in (status.stable, status.candidate, *status.history) if revision is not None]
    digests = {revision.digest for revision in known}
    sources = [revision.source_job for revision in known if revision.source_job is not None]
    considered = {limit.uid for limit in limits} | {source.uid for source in sources}
    found: list[PassedOverJob] = []
    for job in sorted(selected, key=lambda job: find_creation(job).order, reverse=True):
        failure, adapter = find_failure(job), job.adapter
        if job.uid in considered:
            continue
        if failure is not None and _is_fresh(job, limits):
            found.append(_pass_over(job, Why.JOB_FAILED, f"{failure.reason}: {failure.message}"))
        elif has_adapter(job) and adapter is not None and adapter.digest not in digests and not _is_fresh(job, limits):
            found.append(_pass_over(job, Why.CREATED_EARLIER, _explain_order(find_creation(job), limits)))
    return tuple(found[:MAX_PASSED_OVER])


def record_considered(job: SelectableJob) -> ConsideredJob:
    """Return the record of a job that was considered."""
    created = find_creation(job)
    return ConsideredJob(name=created.name, uid=created.uid, creation_time=created.time)


def convert_considered(last: ConsideredJob, jobs: Iterable[SelectableJob], now: dt.datetime) -> ConsideredJob:
    """Return a record of an earlier version, which has only the completion time, in the current form.

    If the job was deleted, its completion time is used: it was created before that. A time in the future, from a node
    whose clock is wrong, would exclude new jobs, so the result is at most `now`.
    """
    created = next((job.created_at for job in jobs if job.uid == last.uid), None)
    latest = format_time(now)
    time = created if created is not None else min(last.completion_time or latest, latest)
    return ConsideredJob(name=last.name, uid=last.uid, creation_time=time)


def _is_fresh(job: SelectableJob, limits: Iterable[Creation]) -> bool:
    created = find_creation(job)
    return all(created.is_after(limit) for limit in limits)


def _explain_order(created: Creation, limits: Sequence[Creation]) -> str:
    newest = max(limits, key=lambda limit: limit.order)
    if created.time == newest.time:
        order = (
            f"It was created at {created.time}, in the same second as FineTuneJob {newest.name!r};"
            " of such jobs, the last one by name is the newest."
        )
    else:
        order = f"It was created at {created.time}, before FineTuneJob {newest.name!r} ({newest.time})."
    return f"{order} To serve it, name it in spec.adapter.fineTuneJobRef."


def _pass_over(job: SelectableJob, reason: Why, message: str) -> PassedOverJob:
    created = find_creation(job)
    return PassedOverJob(
        name=created.name,
        uid=created.uid,
        creation_time=created.time,
        reason=reason.value,
        message=show(message, MAX_MESSAGE),
    )
