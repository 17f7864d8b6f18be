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
    PassedOverJob,
    Revision,
    SourceJob,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.history import as_revision, is_excluded
from tunewright_operator.domain.rollout.inspection import Inspection, find_known_address, view_inspection
from tunewright_operator.domain.rollout.jobs import (
    SelectableJob,
    find_failure,
    find_newest,
    has_adapter,
    list_limits,
    list_passed_over,
    record_considered,
)
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
        return _choose_newest(spec.model_name, status, _list_selected(situation), jobs)
    return _choose_address(spec.model_name, adapter.uri or "", status, view_inspection(situation, now))


def find_expected_name(situation: Situation, now: dt.datetime) -> str | None:
    """Return the name of the revision that becomes the next candidate; None if there is none or it is not known yet."""
    choice, status = choose_adapter(situation, now), situation.status
    if choice.revision is not None:
        stable = status.stable is not None and status.stable.digest == choice.revision.digest
        return None if stable or is_excluded(status.history, choice.revision.digest) else choice.revision.revision
    uri = situation.spec.adapter.uri
    if uri is None or choice.stalled:
        return None
    # The manifest is being read. The folder of a published adapter has the digest as its name.
    folder = uri.rstrip("/").rpartition("/")[2]
    return revision_name(situation.spec.model_name, folder.removeprefix("sha256-"))


def find_passed_over(situation: Situation, status: AdapterDeploymentStatus) -> tuple[PassedOverJob, ...]:
    """Return the jobs that the selector matches and that do not become the candidate, according to a status."""
    return list_passed_over(status, _list_selected(situation), list_limits(status, situation.jobs))


def _choose_job(model_name: str, name: str, status: AdapterDeploymentStatus, jobs: Sequence[SelectableJob]) -> Choice:
    job = next((job for job in jobs if job.name == name), None)
    if job is None:
        if status.stable is not None and status.stable.source_job and status.stable.source_job.name == name:
            return Choice()  # The job was deleted after its adapter was accepted, and the status has a copy.
        message = (
            f"FineTuneJob {name!r} does not exist in this namespace. Create it, or correct spec.adapter.fineTuneJobRef."
        )
        return Choice(reason=Why.JOB_NOT_FOUND, message=message, stalled=True)
    if has_adapter(job):
        return Choice(revision=_revision_of(model_name, job), job=record_considered(job), named=True)
    failure = find_failure(job)
    if failure is not None:
        why = f"FineTuneJob {name!r} failed: {failure.reason}: {failure.message}"
        message = join_sentences(why, Why.JOB_FAILED.remedy)
        return Choice(reason=Why.JOB_FAILED, message=message, stalled=True)
    return Choice(reason=Why.JOB_NOT_FINISHED, message=f"FineTuneJob {name!r} has not succeeded yet.")


def _choose_newest(
    model_name: str, status: AdapterDeploymentStatus, selected: Sequence[SelectableJob], jobs: Sequence[SelectableJob]
) -> Choice:
    """Return the newest succeeded job that is newer than what was considered before.

    The selector only moves forward.
    """
    limits = list_limits(status, jobs)
    newest = find_newest(selected, limits)
    if newest is not None:
        return Choice(revision=_revision_of(model_name, newest), job=record_considered(newest))
    if limits:
        return Choice()
    message = "No FineTuneJob that the selector matches has succeeded yet."
    return Choice(reason=Why.NO_ADAPTER_YET, message=message)


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
        evaluation_dataset_digest=found.evaluation_dataset_digest,
        stop_token_ids=found.stop_token_ids,
    )
    return Choice(revision=revision, named=True)


def _list_selected(situation: Situation) -> tuple[SelectableJob, ...]:
    selector = situation.spec.adapter.fine_tune_job_selector
    if selector is None:
        return ()
    return tuple(job for job in situation.jobs if selector.matches(job.labels))


def _revision_of(model_name: str, job: SelectableJob) -> Revision:
    adapter = job.adapter
    if adapter is None:
        raise ValueError(f"FineTuneJob {job.name} has published no adapter")
    return Revision(
        revision=revision_name(model_name, adapter.digest),
        digest=adapter.digest,
        uri=adapter.uri,
        rank=adapter.rank,
        base_model_digest=adapter.base_model_digest,
        evaluation_dataset_uri=adapter.evaluation_dataset_uri,
        evaluation_dataset_digest=adapter.evaluation_dataset_digest,
        stop_token_ids=adapter.stop_token_ids,
        source_job=SourceJob(name=job.name, uid=job.uid, creation_time=job.created_at),
    )
