"""The state of a Job that the operator created, as read from the bodies of the Job and its pod."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

from tunewright_contracts.phase_result import PhaseResult, read_termination_message
from tunewright_operator.api.containers import JOB_CONTAINERS, find_container_status
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.domain.pod_admission import describe_changes
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.times import parse_time

MAX_LAST_LOG_BYTES = 1024
PODLESS_SECONDS = 30.0
"""After that time without a pod, a Job is reported even if no Event shows what keeps it from getting one."""
FRESH_SECONDS = 5.0
"""A Job has no pod for so long without any problem."""
LINGERING_SECONDS = 30.0
"""After that time, containers that still run although ours has ended are reported: some end a little later."""
UNMOUNTED_SECONDS = 30.0
"""After that time without a container, what the pod mounts may be missing."""
_INITIALIZING = "PodInitializing"
"""What the kubelet reports of a container while init containers run, whatever their state is."""
_UNMOUNTED = frozenset({"ContainerCreating", _INITIALIZING})
"""What the kubelet reports of a container until all volumes of its pod are mounted."""
_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


class RunState(StrEnum):
    """The state of a Job."""

    QUEUED = "Queued"
    """Suspended by another controller, such as Kueue, which decides when it starts."""
    ACTIVE = "Active"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"


@dataclasses.dataclass(frozen=True, slots=True)
class PodRun:
    """The pod of a Job. Times are None until known; ``waiting`` is the reason why the container does not run yet."""

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
    """The kubelet's message when it evicted the pod."""
    result: PhaseResult | None = None
    last_log_lines: str = ""
    """The end of the container's log, at most `MAX_LAST_LOG_BYTES`, if it left no result."""
    lingering: tuple[str, ...] = ()
    """The containers, added by others, that still run although ours has ended: the Job does not end before them."""
    changes: str = ""
    """A sentence on the resources that admission gave the container instead of those that its Job asked for."""

    def describe_exit(self) -> str:
        """Return sentences with the exit code and the last log lines."""
        signal = f" ({_SIGNALS[self.exit_code]})" if self.exit_code in _SIGNALS else ""
        lines = f"Its last log lines: {self.last_log_lines}" if self.last_log_lines else "It left no log lines."
        code = "without an exit code" if self.exit_code is None else f"with exit code {self.exit_code}{signal}"
        return join_sentences(f"The container of pod {self.name} ended {code}.", self.changes, lines)

    def describe_lingering(self) -> str:
        """Return sentences with the containers that still run although ours has ended."""
        others = ", ".join(self.lingering)
        return join_sentences(
            f"containers that others added to pod {self.name} still run after ours has ended: {others}",
            CommonReason.SIDECAR_RUNNING.remedy,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Why a Job's container does not run yet; ``message`` is what Kubernetes reports."""

    reason: CommonReason
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class JobRun:
    """A Job and its pod; ``disrupted``: it was ended by the cluster and not by its program."""

    name: str
    uid: str
    state: RunState
    began_at: dt.datetime | None = None
    """The earliest time at which the Job controller could create its pod."""
    ended_at: dt.datetime | None = None
    disrupted: bool = False
    failure: str = ""
    """The reason and the message with which the Job controller reports a failure."""
    pod: PodRun | None = None
    refusal: str = ""
    """The API server's message when it refused to create the pod, if that was read."""
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expires: bool = False
    """Whether Kubernetes deletes the Job some time after its end."""

    @property
    def finished(self) -> bool:
        """Return whether the Job has ended."""
        return self.state in {RunState.SUCCEEDED, RunState.FAILED}

    @property
    def lacks_pod(self) -> bool:
        """Return whether the Job controller must create the pod now and has not created it yet."""
        return self.state is RunState.ACTIVE and self.pod is None

    @property
    def result(self) -> PhaseResult | None:
        """The result that the pod reported, if any."""
        return self.pod.result if self.pod else None

    def may_lack_volumes(self, now: dt.datetime) -> bool:
        """Return whether the pod waits on its node for so long that what it mounts may be missing."""
        waits = self.state is RunState.ACTIVE and self.pod is not None and self.pod.waiting in _UNMOUNTED
        return waits and self._age(now) >= UNMOUNTED_SECONDS

    def explain_waiting(self, now: dt.datetime) -> Wait | None:
        """Return why the container does not run yet; None when it runs, or when the reason is unknown."""
        if self.state is RunState.QUEUED:
            message = f"Job {self.name} is suspended by another controller, which decides when it starts."
            return Wait(CommonReason.QUEUED, message)
        if self.pod is not None and self.pod.waiting:
            waiting, changes = self.pod.waiting, self.pod.changes
            return Wait(CommonReason.POD_PENDING, join_sentences(waiting, changes) if changes else waiting)
        if self.pod is not None and self._is_kept_by_others(self.pod, now):
            return Wait(CommonReason.SIDECAR_RUNNING, self.pod.describe_lingering())
        if self.lacks_pod and self.refusal:
            return Wait(CommonReason.POD_REFUSED, self.refusal)
        if not self.lacks_pod or self._age(now) < PODLESS_SECONDS:
            return None
        message = (
            f"Job {self.name} has no pod after {PODLESS_SECONDS:.0f} s, and no Event of the Job controller shows why."
            f" See `kubectl describe job {self.name}`."
        )
        return Wait(CommonReason.POD_PENDING, message)

    def may_be_refused(self, now: dt.datetime) -> bool:
        """Return whether the Job has no pod although its controller had time to create one."""
        return self.lacks_pod and self._age(now) >= FRESH_SECONDS

    def _age(self, now: dt.datetime) -> float:
        return (now - self.began_at).total_seconds() if self.began_at else 0.0

    def _is_kept_by_others(self, pod: PodRun, now: dt.datetime) -> bool:
        """Return whether only containers that others have added keep the Job from ending."""
        if self.state is not RunState.ACTIVE or pod.finished_at is None or not pod.lingering:
            return False
        return (now - pod.finished_at).total_seconds() >= LINGERING_SECONDS

    def active_seconds(self, now: dt.datetime) -> int:
        """Return how long the pod has run, in whole seconds; 0 before it started.

        The kubelet writes start and end by the node's clock, which may be wrong. While there is no end, a start before
        that of the Job or in the future is replaced by that of the Job, which the Job controller wrote.
        """
        if self.pod is None or self.pod.started_at is None:
            return 0
        start, end = self.pod.started_at, self.pod.finished_at
        if end is None:
            end = self.ended_at or now
            if self.began_at is not None and not self.began_at <= start <= end:
                start = self.began_at
        return max(0, int((end - start).total_seconds()))


@dataclasses.dataclass(frozen=True, slots=True)
class ExpireJob:
    """Let Kubernetes delete a finished Job and its pod after a while: the status has its result.

    This is decided only after the status was written, so that an interruption loses no result.
    """

    name: str
    uid: str
    ended_at: dt.datetime | None


def expire_finished(runs: Iterable[JobRun]) -> tuple[ExpireJob, ...]:
    """Return the actions after which each finished one of these Jobs expires; their results must be recorded."""
    due = (run for run in runs if run.finished and not run.expires)
    return tuple(ExpireJob(run.name, run.uid, run.ended_at) for run in sorted(due, key=lambda run: run.name))


def read_job_run(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> JobRun:
    """Return the state of a Job, with the newest of the pods that it controls."""
    metadata, spec, status = job["metadata"], job.get("spec", {}), job.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions") or [] if item["status"] == "True"}
    failed = conditions.get("Failed") or {}
    complete = conditions.get("Complete") or {}
    own = [pod for pod in pods if controller_uid(pod) == metadata["uid"]]
    newest = max(own, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), default=None)
    pod = _read_own_pod(job, newest) if newest is not None else None
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
        expires=spec.get("ttlSecondsAfterFinished") is not None,
    )


def _read_own_pod(job: Mapping[str, Any], pod: Mapping[str, Any]) -> PodRun:
    template = job.get("spec", {}).get("template") or {}
    return dataclasses.replace(read_pod_run(pod), changes=describe_changes(template, pod, JOB_CONTAINERS))


def read_pod_run(pod: Mapping[str, Any], names: Collection[str] = JOB_CONTAINERS) -> PodRun:
    """Return the state of a pod and of its container that has one of these names."""
    status = pod.get("status", {})
    container = find_container_status(pod, names)
    state = container.get("state", {})
    terminated = state.get("terminated") or {}
    running = state.get("running") or {}
    message = terminated.get("message") or ""
    result = read_termination_message(PhaseResult, message)
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
        lingering=_find_running(status, names) if terminated else (),
        result=result,
        last_log_lines="" if result is not None else _cut_last_log_lines(message),
    )


def _find_running(status: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
    others = [item for item in status.get("containerStatuses") or [] if item.get("name") not in names]
    return tuple(str(item.get("name")) for item in others if (item.get("state") or {}).get("running"))


def _cut_last_log_lines(message: str) -> str:
    data = message.strip().encode()
    if len(data) <= MAX_LAST_LOG_BYTES:
        return data.decode()
    mark = "…"
    return mark + data[-(MAX_LAST_LOG_BYTES - len(mark.encode())) :].decode(errors="ignore").strip()


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
    text = ": ".join(part for part in (source.get("reason"), source.get("message")) if part)
    return _explain_initialization(status) or text if text in {"", _INITIALIZING} else text


def _explain_initialization(status: Mapping[str, Any]) -> str:
    """Return why an init container, which others have added, keeps ours from starting."""
    for container in status.get("initContainerStatuses") or []:
        state = container.get("state") or {}
        ended = state.get("terminated") or {}
        source = state.get("waiting") or (ended if ended.get("exitCode") else {})
        text = ": ".join(part for part in (source.get("reason"), source.get("message")) if part)
        if text and text != _INITIALIZING:
            return f"init container {container.get('name')}: {text}"
    return ""


def _is_disrupted(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(item["type"] == "DisruptionTarget" and item["status"] == "True" for item in conditions)


def _time(text: str | None) -> dt.datetime | None:
    return parse_time(text) if text else None
