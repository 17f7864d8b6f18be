"""Read the manifest of an adapter that the spec names by its address.

A Job reads it, because the operator has no storage credentials.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib

from tunewright_contracts.phase_result import AdapterSummary
from tunewright_contracts.phase_result import Outcome as RunOutcome
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_operator.api.adapter_deployment import AdapterDeployment, AdapterDeploymentStatus, Revision
from tunewright_operator.domain.job_run import JobRun, Wait, expire_finished
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.rollout.actions import (
    DeleteInspection,
    EnsureInspection,
    JobReference,
    RolloutAction,
    WantedInspection,
)
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.sentences import join_sentences

INSPECTION_RETRY_SECONDS = 300.0
"""Pause before a failed inspection runs again: no event reports that an address has become readable."""


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What is known of `spec.adapter.uri`: its adapter, or why there is none; neither while the manifest is read.

    ``waiting`` is the reason why the pod that reads it does not run yet.
    """

    adapter: AdapterSummary | None = None
    reason: str = ""
    message: str = ""
    waiting: Wait | None = None


def find_known_address(status: AdapterDeploymentStatus, uri: str) -> Revision | None:
    """Return the revision at an address that was read before; adapters never change, so it is not read again."""
    known: list[Revision] = [*status.history]
    known += [revision for revision in (status.candidate, status.stable) if revision is not None]
    return next((revision for revision in reversed(known) if revision.uri.rstrip("/") == uri.rstrip("/")), None)


def find_unread_address(deployment: AdapterDeployment) -> str | None:
    """Return `spec.adapter.uri` if its manifest must be read; None if it was read, or if the spec names jobs."""
    uri = deployment.spec.adapter.uri
    if uri is None or find_known_address(deployment.status, uri) is not None:
        return None
    return uri


def find_inspection(deployment: AdapterDeployment) -> WantedInspection | None:
    """Return the inspection for the address in the spec; None if there is nothing to read or the address is invalid."""
    uri = find_unread_address(deployment)
    if uri is None or _check_address(uri) is not None:
        return None
    address = str(StorageURI.parse(uri))
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return WantedInspection(f"{deployment.metadata.name}-inspect-{digest}", address)


def view_inspection(situation: Situation, now: dt.datetime) -> Inspection | None:
    """Return what is known of the address in the spec; None if there is nothing to read."""
    uri = find_unread_address(situation.deployment)
    if uri is None:
        return None
    problem = _check_address(uri) or situation.storage_problem
    if problem is not None:
        return Inspection(reason=problem.reason.value, message=problem.message)
    return Inspection() if situation.inspection is None else _view_run(situation.inspection, now)


def plan_inspection(situation: Situation, now: dt.datetime) -> tuple[RolloutAction, ...]:
    """Return the actions that read the address in the spec, and read it again some time after a failure.

    Other inspections expire: what they read is in the status, or the spec has another address now.
    """
    return (*_plan_wanted(situation, now), *expire_finished(situation.old_inspections))


def _plan_wanted(situation: Situation, now: dt.datetime) -> tuple[RolloutAction, ...]:
    wanted, run = find_inspection(situation.deployment), situation.inspection
    if wanted is None or situation.storage_problem is not None:
        return ()
    if run is None:
        return (EnsureInspection(wanted),)
    if run.ended_at is None or _find_adapter(run) is not None:
        return ()
    if (now - run.ended_at).total_seconds() < INSPECTION_RETRY_SECONDS:
        return ()
    return (DeleteInspection(JobReference(run.name, run.uid)),)


def _view_run(run: JobRun, now: dt.datetime) -> Inspection:
    adapter = _find_adapter(run)
    if adapter is not None:
        return Inspection(adapter)
    if not run.finished:
        return Inspection(waiting=run.explain_waiting(now))
    if run.result is not None:
        return Inspection(reason=run.result.reason, message=run.result.message)
    lost = join_sentences("The inspection's pod is gone without a result.", run.failure)
    return Inspection(reason=Why.ADAPTER_UNREADABLE.value, message=run.pod.describe_exit() if run.pod else lost)


def _check_address(uri: str) -> Problem | None:
    try:
        StorageURI.parse(uri)
    except StorageURIError as error:
        remedy = CommonReason.INVALID_URI.remedy
        return Problem(CommonReason.INVALID_URI, join_sentences(f"spec.adapter.uri: {error}", remedy))
    return None


def _find_adapter(run: JobRun) -> AdapterSummary | None:
    result = run.result
    return result.adapter if result is not None and result.outcome is RunOutcome.SUCCEEDED else None
