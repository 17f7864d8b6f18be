"""Which adapter a deployment's spec names: that of a job, that of a selector's newest job, or the one at an address.

The choice depends on the spec, the jobs and the status, and not on the state of the rollout.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from tunewright_contracts.adapter_manifest import revision_name
from tunewright_contracts.reasons import Reason
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    ConsideredJob,
    Revision,
    SourceJob,
)
from tunewright_operator.api.conditions import FineTuneJobCondition, find_condition
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.history import as_revision
from tunewright_operator.domain.rollout.inspection import Inspection, find_known_address, view_inspection
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.sentences import join_sentences


@dataclasses.dataclass(frozen=True)
class Choice:
    """The adapter that the spec names.

    If there is none (yet), ``revision`` is None, and ``reason`` and ``message`` explain why. ``job`` becomes
    `lastConsideredJob` after the choice is handled. ``named``: a user and not a selector named the adapter.
    ``stalled``: waiting does not help.
    """

    revision: Revision | None = None
    job: ConsideredJob | None = None
    named: bool = False
    stalled: bool = False
    reason: Reason | None = None
    message: str = ""


def choose_adapter(situation: Situation, now: dt.datetime) -> Choice:
    """Return the adapter that the spec names, from the namespace's jobs or from the inspection of the address."""
    spec, status, jobs = situation.spec, situation.status, situation.jobs
    adapter = spec.adapter
    if adapter.fine_tune_job_ref is not None:
        return _choose_job(spec.model_name, adapter.fine_tune_job_ref.name, status, jobs)
    if adapter.fine_tune_job_selector is not None:
        selected = [job for job in jobs if adapter.fine_tune_job_selector.matches(job.metadata.labels)]
        return _choose_newest(spec.model_name, status, selected)
    return _choose_address(spec.model_name, adapter.uri or "", status, view_inspection(situation, now))


def _choose_job(model_name: str, name: str, status: AdapterDeploymentStatus, jobs: Sequence[FineTuneJob]) -> Choice:
    job = next((job for job in jobs if job.metadata.name == name), None)
    if job is None:
        if status.stable is not None and status.stable.source_job and status.stable.source_job.name == name:
            return Choice()  # The job was deleted after its adapter was accepted, and the status has a copy.
        message = (
            f"FineTuneJob {name!r} does not exist in this namespace. Create it, or correct spec.adapter.fineTuneJobRef."
        )
        return Choice(reason=Why.JOB_NOT_FOUND, message=message, stalled=True)
    succeeded = find_condition(job.status.conditions, FineTuneJobCondition.SUCCEEDED)
    if _has_adapter(job):
        return Choice(revision=_revision_of(model_name, job), job=_considered(job), named=True)
    if succeeded is not None and succeeded.status == "False":
        why = f"FineTuneJob {name!r} failed: {succeeded.reason}: {succeeded.message}"
        message = join_sentences(why, Why.JOB_FAILED.remedy)
        return Choice(reason=Why.JOB_FAILED, message=message, stalled=True)
    return Choice(reason=Why.JOB_NOT_FINISHED, message=f"FineTuneJob {name!r} has not succeeded yet.")


def _choose_newest(model_name: str, status: AdapterDeploymentStatus, jobs: Sequence[FineTuneJob]) -> Choice:
    """Return the newest succeeded job that is not older than the last considered one.

    The selector only moves forward.
    """
    last = status.last_considered_job
    fresh = [job for job in jobs if _has_adapter(job) and (last is None or _is_fresh(job, last, status))]
    if not fresh:
        if last is not None:
            return Choice()
        message = "No FineTuneJob that the selector matches has succeeded yet."
        return Choice(reason=Why.NO_ADAPTER_YET, message=message)
    newest = max(fresh, key=_completion)
    return Choice(revision=_revision_of(model_name, newest), job=_considered(newest))


def _choose_address(
    model_name: str, uri: str, status: AdapterDeploymentStatus, inspection: Inspection | None
) -> Choice:
    known = find_known_address(status, uri)
    if known is not None:
        # The alias may have been renamed since, and its name is part of the revision's name.
        renamed = as_revision(known).updated(revision=revision_name(model_name, known.digest))
        return Choice(revision=renamed, named=True)
    if inspection is not None and inspection.waiting is not None:
        message = f"The pod that reads the manifest at {uri} waits: {inspection.waiting.message}"
        return Choice(reason=inspection.waiting.reason, message=message)
    if inspection is None or (inspection.adapter is None and not inspection.reason):
        return Choice(reason=Why.INSPECTING_ADAPTER, message=f"The manifest at {uri} is being read.")
    if inspection.adapter is None:
        return Choice(reason=Why.ADAPTER_UNREADABLE, message=f"{inspection.reason}: {inspection.message}", stalled=True)
    found = inspection.adapter
    revision = Revision(
        revision=revision_name(model_name, found.digest),
        digest=found.digest,
        uri=found.uri,
        rank=found.rank,
        base_model_digest=found.base_model_digest,
        evaluation_dataset_uri=found.evaluation_dataset_uri,
    )
    return Choice(revision=revision, named=True)


def _has_adapter(job: FineTuneJob) -> bool:
    succeeded = find_condition(job.status.conditions, FineTuneJobCondition.SUCCEEDED)
    return succeeded is not None and succeeded.is_true and job.status.adapter is not None


def _is_fresh(job: FineTuneJob, last: ConsideredJob, status: AdapterDeploymentStatus) -> bool:
    """Return whether a job ended after the last considered one.

    A job that ended in the same second counts if its adapter was never a candidate.
    """
    completion_time = job.status.completion_time or ""
    if completion_time != last.completion_time or job.status.adapter is None:
        return completion_time > last.completion_time
    known = (*status.history, *(revision for revision in (status.stable, status.candidate) if revision is not None))
    return job.metadata.uid != last.uid and job.status.adapter.digest not in {revision.digest for revision in known}


def _completion(job: FineTuneJob) -> tuple[str, str]:
    """Return the sort key of a job; RFC 3339 times in UTC with whole seconds sort as text."""
    return (job.status.completion_time or "", job.metadata.uid)


def _considered(job: FineTuneJob) -> ConsideredJob:
    completion_time, uid = _completion(job)
    return ConsideredJob(name=job.metadata.name, uid=uid, completion_time=completion_time)


def _revision_of(model_name: str, job: FineTuneJob) -> Revision:
    adapter = job.status.adapter
    if adapter is None:
        raise ValueError(f"FineTuneJob {job.metadata.name} has published no adapter")
    return Revision(
        revision=revision_name(model_name, adapter.digest),
        digest=adapter.digest,
        uri=adapter.uri,
        rank=adapter.rank,
        base_model_digest=adapter.base_model_digest,
        evaluation_dataset_uri=adapter.evaluation_dataset_uri,
        source_job=SourceJob(name=job.metadata.name, uid=job.metadata.uid),
    )
