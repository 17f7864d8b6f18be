"""What became of a Job that the operator created: facts read from the Job's and its pod's bodies."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import PhaseResult
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.domain.times import parse_time

MAX_LAST_WORDS_BYTES = 1024
PODLESS_SECONDS = 30.0
"""A Job that has no pod for longer will hardly get one by waiting."""
_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


class RunState(StrEnum):
    """Where a Job stands."""

    QUEUED = "Queued"
    """Suspended: somebody else (Kueue) decides when it starts."""
    ACTIVE = "Active"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"


@dataclasses.dataclass(frozen=True, slots=True)
class PodRun:
    """The one pod of a Job. Times are None until known; ``waiting`` says why the container does not run yet."""

    name: str
    uid: str
    ip: str | None = None
    running: bool = False
    waiting: str = ""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    evicted: str = ""
    """The kubelet's words when it evicted the pod."""
    result: PhaseResult | None = None
    last_words: str = ""
    """The end of what the container wrote, at most `MAX_LAST_WORDS_BYTES`, when it left no result."""

    def describe_exit(self) -> str:
        """Return a sentence with the exit code and the last words."""
        signal = f" ({_SIGNALS[self.exit_code]})" if self.exit_code in _SIGNALS else ""
        words = f" Its last words: {self.last_words}" if self.last_words else " It left no last words."
        code = "without an exit code" if self.exit_code is None else f"with exit code {self.exit_code}{signal}"
        return f"The container of pod {self.name} ended {code}.{words}"


@dataclasses.dataclass(frozen=True, slots=True)
class JobRun:
    """A Job and its pod; ``disrupted`` when the cluster, not the program, ended it."""

    name: str
    uid: str
    state: RunState
    began_at: dt.datetime | None = None
    """When the Job controller might first create its pod."""
    ended_at: dt.datetime | None = None
    disrupted: bool = False
    failure: str = ""
    """The Job controller's words for a failure."""
    pod: PodRun | None = None
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Return whether it will not run any more."""
        return self.state in {RunState.SUCCEEDED, RunState.FAILED}

    @property
    def result(self) -> PhaseResult | None:
        """What the pod reported, if anything."""
        return self.pod.result if self.pod else None

    def explain_waiting(self, now: dt.datetime) -> str:
        """Return why its container does not run yet, in the words of whoever knows;
        empty when it runs or nobody knows.
        """
        if self.pod is not None:
            return self.pod.waiting
        waited = (now - self.began_at).total_seconds() if self.began_at else 0.0
        if self.state is not RunState.ACTIVE or waited < PODLESS_SECONDS:
            return ""
        return (
            f"Job {self.name} has no pod: a quota, a limit range or an admission policy may refuse it."
            f" See `kubectl describe job {self.name}`"
        )

    def active_seconds(self, now: dt.datetime) -> int:
        """Return how long its pod has run, in whole seconds; 0 before it started."""
        if self.pod is None or self.pod.started_at is None:
            return 0
        end = self.pod.finished_at or self.ended_at or now
        return max(0, int((end - self.pod.started_at).total_seconds()))


def read_job_run(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> JobRun:
    """Return the facts of a Job, with the newest of the pods that it controls."""
    metadata, spec, status = job["metadata"], job.get("spec", {}), job.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions") or [] if item["status"] == "True"}
    failed = conditions.get("Failed") or {}
    complete = conditions.get("Complete") or {}
    own = [pod for pod in pods if controller_uid(pod) == metadata["uid"]]
    newest = max(own, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), default=None)
    pod = read_pod_run(newest) if newest is not None else None
    if complete:
        state = RunState.SUCCEEDED
    elif failed:
        state = RunState.FAILED
    elif metadata.get("deletionTimestamp"):
        state = RunState.DELETING
    elif spec.get("suspend"):
        state = RunState.QUEUED
    else:
        state = RunState.ACTIVE
    return JobRun(
        name=metadata["name"],
        uid=metadata["uid"],
        state=state,
        began_at=_time(status.get("startTime") or metadata.get("creationTimestamp")),
        ended_at=_time((failed or complete).get("lastTransitionTime")),
        disrupted=failed.get("reason") == "PodFailurePolicy" or (newest is not None and _is_disrupted(newest)),
        failure=": ".join(part for part in (failed.get("reason"), failed.get("message")) if part),
        pod=pod,
        annotations=metadata.get("annotations") or {},
    )


def read_pod_run(pod: Mapping[str, Any]) -> PodRun:
    """Return the facts of a pod with one container."""
    status = pod.get("status", {})
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = container.get("state", {})
    terminated = state.get("terminated") or {}
    running = state.get("running") or {}
    message = terminated.get("message") or ""
    result = _read_result(message)
    return PodRun(
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        ip=status.get("podIP"),
        running=bool(running),
        waiting="" if running or terminated else _explain_waiting(status, state.get("waiting") or {}),
        started_at=_time(running.get("startedAt") or terminated.get("startedAt")),
        finished_at=_time(terminated.get("finishedAt")),
        exit_code=terminated.get("exitCode"),
        out_of_memory=terminated.get("reason") == "OOMKilled",
        evicted=status.get("message") or "evicted" if status.get("reason") == "Evicted" else "",
        result=result,
        last_words="" if result is not None else _last_words(message),
    )


def _read_result(message: str) -> PhaseResult | None:
    # The message may be the log's tail (FallbackToLogsOnError): a result is a JSON object and nothing else.
    if not message.lstrip().startswith("{"):
        return None
    try:
        return PhaseResult.from_json(message)
    except ContractError:
        return None


def _last_words(message: str) -> str:
    data = message.strip().encode()
    if len(data) <= MAX_LAST_WORDS_BYTES:
        return data.decode()
    mark = "…"
    return mark + data[-(MAX_LAST_WORDS_BYTES - len(mark.encode())) :].decode(errors="ignore").strip()


def _explain_waiting(status: Mapping[str, Any], waiting: Mapping[str, Any]) -> str:
    unschedulable = next(
        (
            item
            for item in status.get("conditions") or []
            if item["type"] == "PodScheduled" and item["status"] == "False"
        ),
        None,
    )
    source = unschedulable or waiting
    return ": ".join(part for part in (source.get("reason"), source.get("message")) if part)


def _is_disrupted(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(item["type"] == "DisruptionTarget" and item["status"] == "True" for item in conditions)


def _time(text: str | None) -> dt.datetime | None:
    return parse_time(text) if text else None
