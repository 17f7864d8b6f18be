"""Decide about a BaseModel: inspect its weights once, and keep it from being deleted while something uses it."""

from __future__ import annotations

import dataclasses
import datetime as dt

from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_operator.api.base_model import BaseModel, BaseModelStatus
from tunewright_operator.api.conditions import BaseModelCondition, ConditionStatus, find_condition
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.job_run import ExpireJob, JobRun, Wait, expire_finished
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import CommonReason, condition_reason
from tunewright_operator.domain.references import check_storage
from tunewright_operator.domain.secrets import UNREAD, StorageFacts
from tunewright_operator.domain.sentences import join_sentences

IN_USE_FINALIZER = "tunewright.dev/in-use"
RETRY_SECONDS = 30
"""Pause before an inspection that failed with a transient error runs again."""
RECHECK_SECONDS = 120
"""Pause before an inspection that failed permanently runs again: no event reports that a bucket was fixed."""


@dataclasses.dataclass(frozen=True, slots=True)
class BaseModelObservation:
    """A BaseModel as it is now. ``users`` is read only on deletion."""

    model: BaseModel
    namespace: str
    """The operator's namespace: the inspection runs there, and its Secret must be there."""
    storage: StorageFacts = UNREAD
    run: JobRun | None = None
    users: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SetFinalizer:
    """Add or remove `IN_USE_FINALIZER`."""

    present: bool


@dataclasses.dataclass(frozen=True, slots=True)
class CreateInspection:
    """Create the inspection Job and its request."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteInspection:
    """Delete a finished inspection Job, so that a new one can have its name."""

    uid: str


BaseModelAction = SetFinalizer | CreateInspection | DeleteInspection | ExpireJob


@dataclasses.dataclass(frozen=True, slots=True)
class BaseModelDecision:
    """What to do, what to record after that, and when to reconcile again (None: at the next event)."""

    status: BaseModelStatus
    actions: tuple[BaseModelAction, ...] = ()
    reconcile_after_seconds: float | None = None


def inspect_job_name(base_model: str) -> str:
    """Return the name of a BaseModel's inspection Job."""
    return f"base-model-{base_model}-inspect"


def decide(observation: BaseModelObservation, now: dt.datetime) -> BaseModelDecision:
    """Return what to do with a BaseModel now."""
    model = observation.model
    if model.metadata.deletion_timestamp is not None:
        return _decide_deletion(observation, now)
    if IN_USE_FINALIZER not in model.metadata.finalizers:
        return BaseModelDecision(model.status, (SetFinalizer(present=True),), 0)
    if model.status.digest:
        expired = expire_finished([observation.run] if observation.run is not None else [])
        return BaseModelDecision(
            _report(model, "True", BaseModelReason.INSPECTED, _describe(model.status), now), expired
        )
    problem = _find_problem(observation)
    if problem is not None:
        return BaseModelDecision(report_problem(model, problem, now), reconcile_after_seconds=RETRY_SECONDS)
    return _decide_inspection(observation, now)


def report_problem(model: BaseModel, problem: Problem, now: dt.datetime) -> BaseModelStatus:
    """Return the status of a model that cannot be inspected, because of its spec or because of a refused write."""
    return _report(model, "False", problem.reason, problem.message, now, stalled=True)


def _decide_deletion(observation: BaseModelObservation, now: dt.datetime) -> BaseModelDecision:
    model = observation.model
    if IN_USE_FINALIZER not in model.metadata.finalizers:
        return BaseModelDecision(model.status)
    if not observation.users:
        return BaseModelDecision(model.status, (SetFinalizer(present=False),))
    shown = ", ".join(observation.users[:5]) + (", …" if len(observation.users) > 5 else "")
    message = join_sentences(
        f"Deletion waits for the resources that use the model ({len(observation.users)}): {shown}",
        "Delete them, or wait for the jobs to end.",
    )
    ready: ConditionStatus = "True" if model.status.digest else "False"
    return BaseModelDecision(
        _report(model, ready, BaseModelReason.IN_USE, message, now), reconcile_after_seconds=RETRY_SECONDS
    )


def _decide_inspection(observation: BaseModelObservation, now: dt.datetime) -> BaseModelDecision:
    model, run = observation.model, observation.run
    if run is None:
        return BaseModelDecision(_report_inspecting(model, None, now), (CreateInspection(),), RETRY_SECONDS)
    if not run.finished:
        wait = run.explain_waiting(now)
        return BaseModelDecision(_report_inspecting(model, wait, now), reconcile_after_seconds=RETRY_SECONDS)
    result = run.result
    if result is not None and result.outcome is Outcome.SUCCEEDED and result.base_model is not None:
        summary = result.base_model
        found = model.status.updated(
            digest=summary.digest, revision=summary.revision, linear_modules=summary.linear_modules
        )
        inspected = model.updated(status=found)
        recorded = _report(inspected, "True", BaseModelReason.INSPECTED, _describe(found), now)
        return BaseModelDecision(recorded, reconcile_after_seconds=0)
    final = result is not None and result.outcome is Outcome.FAILED
    start = (run.ended_at or now) + dt.timedelta(seconds=RECHECK_SECONDS if final else RETRY_SECONDS)
    status = _report_failed(model, run, result, now)
    if now < start:
        return BaseModelDecision(status, reconcile_after_seconds=(start - now).total_seconds())
    return BaseModelDecision(status, (DeleteInspection(run.uid),), 1)


def _find_problem(observation: BaseModelObservation) -> Problem | None:
    spec = observation.model.spec
    if spec.source.s3 is not None:
        try:
            StorageURI.parse(spec.source.s3.uri)
        except StorageURIError as error:
            message = join_sentences(f"spec.source.s3.uri: {error}", CommonReason.INVALID_URI.remedy)
            return Problem(CommonReason.INVALID_URI, message)
    if spec.storage is None:
        return None
    return check_storage(spec.storage, observation.namespace, observation.storage)


def _report_inspecting(model: BaseModel, wait: Wait | None, now: dt.datetime) -> BaseModelStatus:
    # The last failure is shown until there is another result: a condition that changes all the time helps no user.
    # A Job that cannot start has no result soon.
    stalled = find_condition(model.status.conditions, BaseModelCondition.STALLED)
    if stalled is not None and (wait is None or wait.reason is CommonReason.POD_PENDING):
        return _report(model, "False", stalled.reason, stalled.message, now, stalled=True)
    if wait is not None:
        return _report(model, "False", wait.reason, f"The inspection pod waits: {wait.message}", now)
    return _report(model, "False", BaseModelReason.INSPECTING, "The weights are being read.", now)


def _report_failed(model: BaseModel, run: JobRun, result: PhaseResult | None, now: dt.datetime) -> BaseModelStatus:
    if result is not None and result.outcome is Outcome.FAILED:
        reason = condition_reason(result.reason, BaseModelReason.INSPECTION_FAILED)
        return _report(model, "False", reason, result.message, now, stalled=True)
    if result is not None:
        again = f"The inspection runs again after {RETRY_SECONDS} s."
        message = join_sentences(f"{result.reason}: {result.message}", again)
        return _report(model, "False", BaseModelReason.INSPECTION_RETRYING, message, now)
    message = run.pod.describe_exit() if run.pod else join_sentences(f"Job {run.name} lost its pod.", run.failure)
    return _report(model, "False", BaseModelReason.INSPECTION_FAILED, message, now)


def _describe(status: BaseModelStatus) -> str:
    revision = f"Revision {status.revision}, digest" if status.revision else "Digest"
    return f"{revision} {status.digest}."


def _report(
    model: BaseModel,
    ready: ConditionStatus,
    reason: str,
    message: str,
    now: dt.datetime,
    *,
    stalled: bool = False,
) -> BaseModelStatus:
    wanted = [Wanted(BaseModelCondition.READY, ready, reason, message)]
    if stalled:
        wanted.append(Wanted(BaseModelCondition.STALLED, "True", reason, message))
    elif ready != "True" or model.metadata.deletion_timestamp is not None:
        wanted.append(Wanted(BaseModelCondition.RECONCILING, "True", reason, message))
    generation = model.metadata.generation
    return model.status.updated(
        observed_generation=generation,
        conditions=merge_conditions(model.status.conditions, wanted, generation=generation, now=now),
    )
