"""`decide` as a table: an observation of a BaseModel, and the actions."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.phase_result import BaseModelSummary, Outcome, PhaseResult
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.domain.base_model import (
    IN_USE_FINALIZER,
    BaseModelObservation,
    CreateInspection,
    DeleteInspection,
    SetFinalizer,
    decide,
    report_problem,
)
from tunewright_operator.domain.job_run import ExpireJob, JobRun, PodRun, RunState
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.secrets import StorageFacts, UseFacts

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DIGEST = "sha256:" + "a" * 64
DELETED = {"deletionTimestamp": "2026-01-01T11:59:00Z"}
STORAGE = {"storage": {"secretRef": {"name": "s3"}}}
INSPECTED = PhaseResult(
    outcome=Outcome.SUCCEEDED,
    reason="Inspected",
    message="3 files",
    base_model=BaseModelSummary(digest=DIGEST, revision="abc", bytes=1, files=3, linear_modules=("q_proj",)),
)
FAILED = PhaseResult(outcome=Outcome.FAILED, reason="NoSuchBucket", message="there is no bucket models")
RETRYABLE = PhaseResult(outcome=Outcome.RETRYABLE, reason="StorageUnreachable", message="no answer")


def model(
    *, status: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, finalizer: bool = True, **spec: Any
) -> BaseModel:
    return BaseModel.from_body(
        {
            "metadata": {
                "name": "smol",
                "generation": 2,
                "finalizers": [IN_USE_FINALIZER] if finalizer else [],
                **(metadata or {}),
            },
            "spec": {"source": {"s3": {"uri": "s3://models/smol"}}, "contextLength": 1, **spec},
            "status": status or {},
        }
    )


def see(subject: BaseModel | None = None, **changes: Any) -> BaseModelObservation:
    return BaseModelObservation(subject or model(), "tunewright-system", **changes)


def run(state: RunState, result: PhaseResult | None = None, *, ended: float = 0, waiting: str = "") -> JobRun:
    """Return the inspection; if it has finished, it did so ``ended`` seconds ago."""
    pod = PodRun(name="p", uid="pod-uid", result=result, waiting=waiting) if result is not None or waiting else None
    finished = state in {RunState.SUCCEEDED, RunState.FAILED}
    ended_at = NOW - dt.timedelta(seconds=ended) if finished else None
    return JobRun("base-model-smol-inspect", "job-uid", state, ended_at=ended_at, pod=pod)


DONE = {"digest": DIGEST, "revision": "abc"}
SECRET = StorageFacts(secret=UseFacts(exists=True, allowed=True))
UNLABELLED = StorageFacts(secret=UseFacts(exists=True))
DELETE = [DeleteInspection("job-uid")]
ROWS: dict[str, tuple[BaseModelObservation, list[Any], str, float | None]] = {
    "a new model": (see(model(finalizer=False)), [SetFinalizer(present=True)], "", 0),
    "no inspection yet": (see(), [CreateInspection()], "Inspecting", 30),
    "an allowed Secret": (see(model(**STORAGE), storage=SECRET), [CreateInspection()], "Inspecting", 30),
    "a missing Secret": (see(model(**STORAGE), storage=StorageFacts()), [], "SecretNotFound", 30),
    "a Secret without the label": (see(model(**STORAGE), storage=UNLABELLED), [], "SecretNotAllowed", 30),
    "an ambiguous URI": (see(model(source={"s3": {"uri": "s3://models/../x"}})), [], "InvalidURI", 30),
    "inspected already": (see(model(status=DONE)), [], "Inspected", None),
    "inspected, and the Job is still there": (
        see(model(status=DONE), run=run(RunState.SUCCEEDED, INSPECTED)),
        [ExpireJob("base-model-smol-inspect", "job-uid", NOW)],
        "Inspected",
        None,
    ),
    "inspected, and the Job expires": (
        see(model(status=DONE), run=dataclasses.replace(run(RunState.SUCCEEDED, INSPECTED), expires=True)),
        [],
        "Inspected",
        None,
    ),
    "the inspection runs": (see(run=run(RunState.ACTIVE)), [], "Inspecting", 30),
    "the inspection waits for a node": (see(run=run(RunState.ACTIVE, waiting="no node fits")), [], "PodPending", 30),
    "another controller has suspended the inspection": (see(run=run(RunState.QUEUED)), [], "Queued", 30),
    "the inspection has succeeded": (see(run=run(RunState.SUCCEEDED, INSPECTED)), [], "Inspected", 0),
    "it has failed recently": (see(run=run(RunState.FAILED, FAILED, ended=1)), [], "NoSuchBucket", 119),
    "it has failed two minutes ago": (see(run=run(RunState.FAILED, FAILED, ended=120)), DELETE, "NoSuchBucket", 1),
    "it has failed for a transient reason": (
        see(run=run(RunState.FAILED, RETRYABLE, ended=1)),
        [],
        "InspectionRetrying",
        29,
    ),
    "the pause after a transient failure is over": (
        see(run=run(RunState.FAILED, RETRYABLE, ended=30)),
        DELETE,
        "InspectionRetrying",
        1,
    ),
    "its pod was lost": (see(run=run(RunState.FAILED, ended=30)), DELETE, "InspectionFailed", 1),
    "deleted, and in use": (see(model(status=DONE, metadata=DELETED), users=("ModelServer a/b",)), [], "InUse", 30),
    "deleted, and not in use": (see(model(status=DONE, metadata=DELETED)), [SetFinalizer(present=False)], "", None),
    "deleted, and the finalizer is removed": (see(model(metadata=DELETED, finalizer=False)), [], "", None),
}


@pytest.mark.parametrize(("observation", "actions", "reason", "again"), ROWS.values(), ids=ROWS.keys())
def test_decide(observation: BaseModelObservation, actions: list[Any], reason: str, again: float | None):
    decision = decide(observation, NOW)
    conditions = {item.type: item for item in decision.status.conditions}
    assert list(decision.actions) == actions
    assert decision.reconcile_after_seconds == again
    assert (conditions["Ready"].reason if conditions else "") == reason
    assert len(conditions.keys() & {"Stalled", "Reconciling"}) <= 1


def test_the_result_of_an_inspection_is_recorded():
    status = decide(see(run=run(RunState.SUCCEEDED, INSPECTED)), NOW).status
    assert (status.digest, status.revision, status.observed_generation) == (DIGEST, "abc", 2)
    assert status.to_status()["linearModules"] == ["q_proj"]
    assert [(item.type, item.status) for item in status.conditions] == [("Ready", "True")]


def test_a_failure_is_shown_while_the_inspection_runs_again():
    failed = decide(see(run=run(RunState.FAILED, FAILED, ended=1)), NOW).status
    again = decide(see(model(status=failed.to_status())), NOW)
    assert again.actions == (CreateInspection(),)
    assert again.status.conditions == failed.conditions


def test_a_failure_is_not_shown_while_another_controller_keeps_the_inspection_from_running_again():
    failed = decide(see(run=run(RunState.FAILED, FAILED, ended=1)), NOW).status
    status = decide(see(model(status=failed.to_status()), run=run(RunState.QUEUED)), NOW).status
    assert [(item.type, item.reason) for item in status.conditions] == [("Ready", "Queued"), ("Reconciling", "Queued")]


def test_a_refused_write_stalls():
    status = report_problem(model(), Problem(CommonReason.JOB_REFUSED, "quota"), NOW)
    assert {item.type: (item.status, item.reason) for item in status.conditions} == {
        "Ready": ("False", "JobRefused"),
        "Stalled": ("True", "JobRefused"),
    }


def test_five_users_are_named_and_the_others_counted():
    users = tuple(f"ModelServer a/{number}" for number in range(7))
    status = decide(see(model(status=DONE, metadata=DELETED), users=users), NOW).status
    assert "use the model (7): " in status.conditions[0].message
    assert "ModelServer a/4, …" in status.conditions[0].message
    assert status.conditions[0].status == "True", "it stays ready for its users"
