"""Facts about Jobs, from bodies as the Job controller and the kubelet write them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_operator.api.containers import JOB_CONTAINERS
from tunewright_operator.domain.job_run import (
    MAX_LAST_LOG_BYTES,
    ExpireJob,
    RunState,
    expire_finished,
    read_job_run,
)
from tunewright_operator.domain.reasons.common import CommonReason

NOW = dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)


def job(*, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j", "uid": "job-uid", **metadata}, "spec": spec or {}, "status": status or {}}


def pod(status: dict[str, Any], *, owner: str = "job-uid", created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    reference = {"uid": owner, "controller": True}
    metadata = {"name": "p", "uid": "pod-uid", "ownerReferences": [reference], "creationTimestamp": created}
    return {"metadata": metadata, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "train", "state": state}]}


def condition(kind: str, **fields: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z", **fields}]}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (job(), RunState.ACTIVE),
        (job(spec={"suspend": True}), RunState.QUEUED),
        (job(deletionTimestamp="2026-01-01T00:00:00Z"), RunState.DELETING),
        (job(status=condition("Complete")), RunState.SUCCEEDED),
        (job(status=condition("Failed")), RunState.FAILED),
        (job(status=condition("FailureTarget")), RunState.ACTIVE),
        (job(status=condition("Complete"), deletionTimestamp="2026-01-01T00:00:00Z"), RunState.SUCCEEDED),
    ],
)
def test_state(body: dict[str, Any], state: RunState):
    assert read_job_run(body, []).state is state


def test_only_a_pod_that_the_job_controls_counts():
    forged = pod(container(running={"startedAt": "2026-01-01T00:00:00Z"}), owner="another")
    assert read_job_run(job(), [forged]).pod is None


def test_the_newest_pod_counts():
    old = pod({"podIP": "10.0.0.1"})
    new = pod({"podIP": "10.0.0.2"}, created="2026-01-01T00:00:09Z")
    run = read_job_run(job(), [new, old])
    assert run.pod is not None
    assert run.pod.ip == "10.0.0.2"


def test_active_seconds_run_from_the_containers_start():
    running = read_job_run(job(), [pod(container(running={"startedAt": "2026-01-01T00:00:20Z"}))])
    assert running.active_seconds(NOW) == 40
    ended = {"exitCode": 0, "startedAt": "2026-01-01T00:00:20Z", "finishedAt": "2026-01-01T00:00:25Z"}
    assert read_job_run(job(), [pod(container(terminated=ended))]).active_seconds(NOW) == 5
    assert read_job_run(job(), [pod({"phase": "Pending"})]).active_seconds(NOW) == 0


@pytest.mark.parametrize(
    ("started", "seconds"),
    [
        pytest.param("2026-01-01T00:00:20Z", 40, id="the node's clock is right"),
        pytest.param("2025-12-31T23:00:20Z", 50, id="an hour slow"),
        pytest.param("2026-01-01T01:00:20Z", 50, id="an hour fast"),
    ],
)
def test_the_clock_of_a_node_does_not_decide_how_long_a_pod_has_run(started: str, seconds: int):
    began = {"startTime": "2026-01-01T00:00:10Z"}
    run = read_job_run(job(status=began), [pod(container(running={"startedAt": started}))])
    assert run.active_seconds(NOW) == seconds
    ended = read_job_run(job(status=began | condition("Failed")), [pod(container(running={"startedAt": started}))])
    assert ended.active_seconds(NOW) == seconds - 30


def test_a_result_is_read_from_the_termination_message():
    result = PhaseResult(outcome=Outcome.FAILED, reason="InvalidRecords", message="a.jsonl:3: not JSON")
    run = read_job_run(job(), [pod(container(terminated={"exitCode": 1, "message": result.to_termination_message()}))])
    assert run.result == result
    assert run.pod is not None
    assert run.pod.last_log_lines == ""


@pytest.mark.parametrize("message", ['{"outcome": "Splendid"}', "{not json", "Traceback: boom"])
def test_a_message_that_is_no_result_is_taken_as_log_lines(message: str):
    run = read_job_run(job(), [pod(container(terminated={"exitCode": 1, "message": message}))])
    assert run.result is None
    assert run.pod is not None
    assert run.pod.last_log_lines == message


def test_last_log_lines_are_at_most_one_kibibyte():
    log = "é" * 3000 + "\nCUDA error: an illegal memory access"
    run = read_job_run(job(), [pod(container(terminated={"exitCode": 139, "message": log}))])
    assert run.pod is not None
    words = run.pod.last_log_lines
    assert words.endswith("an illegal memory access")
    assert len(words.encode()) <= MAX_LAST_LOG_BYTES
    assert "exit code 139 (SIGSEGV)" in run.pod.describe_exit()


def test_the_reason_of_a_waiting_pod_is_read():
    waiting = {"reason": "ImagePullBackOff", "message": "no such tag"}
    run = read_job_run(job(), [pod(container(waiting=waiting))])
    assert run.pod is not None
    assert run.pod.waiting == "ImagePullBackOff: no such tag"


PROXY = {"name": "a-proxy", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
"""What a service mesh adds: the kubelet sorts the statuses of containers by name."""


@pytest.mark.parametrize("name", sorted(JOB_CONTAINERS))
@pytest.mark.parametrize("added", [[], [PROXY], [PROXY, {**PROXY, "name": "zz-agent"}]])
def test_our_container_is_found_by_name(name: str, added: list[dict[str, Any]]):
    result = PhaseResult(outcome=Outcome.FAILED, reason="InvalidRecords", message="a.jsonl:3: not JSON")
    terminated = {"exitCode": 1, "reason": "OOMKilled", "message": result.to_termination_message()}
    ours = {"name": name, "state": {"terminated": terminated}}
    status = {"containerStatuses": sorted([ours, *added], key=lambda item: str(item["name"]))}
    run = read_job_run(job(), [pod(status)])
    assert run.pod is not None
    assert (run.pod.running, run.pod.exit_code, run.pod.out_of_memory, run.result) == (False, 1, True, result)


def test_a_container_that_another_has_added_is_not_ours():
    run = read_job_run(job(), [pod({"containerStatuses": [PROXY]})])
    assert run.pod is not None
    assert not run.pod.running
    assert run.pod.started_at is None


@pytest.mark.parametrize(
    ("state", "waiting"),
    [
        (
            {"waiting": {"reason": "ErrImagePull", "message": "no proxy"}},
            "init container a-init: ErrImagePull: no proxy",
        ),
        ({"terminated": {"exitCode": 2, "reason": "Error"}}, "init container a-init: Error"),
        ({"terminated": {"exitCode": 0, "reason": "Completed"}}, "PodInitializing"),
        ({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "PodInitializing"),
        ({"waiting": {"reason": "PodInitializing"}}, "PodInitializing"),
    ],
)
def test_an_init_container_that_keeps_ours_from_starting_is_reported(state: dict[str, Any], waiting: str):
    ours = {"name": "train", "state": {"waiting": {"reason": "PodInitializing"}}}
    status = {"containerStatuses": [ours], "initContainerStatuses": [{"name": "a-init", "state": state}]}
    run = read_job_run(job(), [pod(status)])
    assert run.pod is not None
    assert run.pod.waiting == waiting


@pytest.mark.parametrize(
    ("reason", "seconds", "lacks"),
    [
        ("ContainerCreating", 30, True),
        ("ContainerCreating", 29, False),
        ("PodInitializing", 30, True),
        ("ErrImagePull", 30, False),
        ("", 30, False),
    ],
)
def test_a_pod_that_waits_on_its_node_may_lack_what_it_mounts(reason: str, seconds: int, lacks: bool):
    body = job(creationTimestamp="2026-01-01T00:00:00Z")
    run = read_job_run(body, [pod(container(waiting={"reason": reason}))])
    assert run.may_lack_volumes(dt.datetime(2026, 1, 1, 0, 0, seconds, tzinfo=dt.UTC)) is lacks
    assert not read_job_run(body, []).may_lack_volumes(NOW)


def test_a_suspended_job_waits_for_the_controller_that_suspended_it():
    wait = read_job_run(job(spec={"suspend": True}), []).explain_waiting(NOW)
    assert wait is not None
    assert wait.reason is CommonReason.QUEUED
    assert wait.message == "Job j is suspended by another controller, which decides when it starts."


@pytest.mark.parametrize(
    ("body", "refusal", "seconds", "reason", "words"),
    [
        pytest.param(job(), "exceeded quota: small", 0, "PodRefused", "exceeded quota: small", id="refused"),
        pytest.param(job(), "", 29, None, "", id="too early to report"),
        pytest.param(job(), "", 30, "PodPending", "kubectl describe job j", id="no Event shows why"),
        pytest.param(
            job(spec={"suspend": True}), "exceeded quota", 60, "Queued", "suspended", id="suspended since then"
        ),
        pytest.param(job(status=condition("Failed")), "exceeded quota", 60, None, "", id="ended"),
        pytest.param(job(deletionTimestamp="2026-01-01T00:00:00Z"), "exceeded quota", 60, None, "", id="being deleted"),
    ],
)
def test_why_a_job_has_no_pod(body: dict[str, Any], refusal: str, seconds: int, reason: str | None, words: str):
    run = dataclasses.replace(read_job_run(body, []), refusal=refusal, began_at=NOW)
    wait = run.explain_waiting(NOW + dt.timedelta(seconds=seconds))
    assert (None if wait is None else wait.reason.value) == reason
    assert wait is None or words in wait.message


@pytest.mark.parametrize(
    ("added", "seconds", "reported"),
    [
        ([PROXY], 29, False),
        ([PROXY], 30, True),
        ([], 60, False),
        ([{"name": "a-proxy", "state": {"terminated": {"exitCode": 0}}}], 60, False),
    ],
)
def test_added_containers_that_keep_a_job_from_ending_are_reported(
    added: list[dict[str, Any]], seconds: int, reported: bool
):
    ended = {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}
    ours = {"name": "train", "state": {"terminated": ended}}
    run = read_job_run(job(), [pod({"containerStatuses": [*added, ours]})])
    wait = run.explain_waiting(NOW + dt.timedelta(seconds=seconds))
    assert (wait is not None) is reported
    assert wait is None or (wait.reason is CommonReason.SIDECAR_RUNNING and "a-proxy" in wait.message)
    done = read_job_run(job(status=condition("Complete")), [pod({"containerStatuses": [*added, ours]})])
    assert done.explain_waiting(NOW + dt.timedelta(seconds=seconds)) is None


def test_a_refusal_is_not_reported_once_there_is_a_pod():
    refused = dataclasses.replace(read_job_run(job(), [pod({"phase": "Pending"})]), refusal="exceeded quota: small")
    assert refused.explain_waiting(NOW) is None


def test_what_admission_changed_is_part_of_what_is_reported_of_the_pod():
    asked, given = (
        {"containers": [{"name": "train", "resources": {"limits": {"memory": size}}}]} for size in ("8Gi", "1Gi")
    )
    owner = job(spec={"template": {"spec": asked}})
    changed = "limits.memory is 1Gi instead of 8Gi"
    waiting = read_job_run(owner, [{**pod(container(waiting={"reason": "ImagePullBackOff"})), "spec": given}])
    wait = waiting.explain_waiting(NOW)
    assert wait is not None
    assert wait.message.startswith("ImagePullBackOff. ")
    assert changed in wait.message
    ended = read_job_run(
        owner, [{**pod(container(terminated={"exitCode": 137, "reason": "OOMKilled"})), "spec": given}]
    )
    assert ended.pod is not None
    assert changed in ended.pod.describe_exit()


def test_eviction_and_disruption_are_distinguished():
    evicted = read_job_run(job(status=condition("Failed")), [pod({"reason": "Evicted", "message": "disk pressure"})])
    assert evicted.pod is not None
    assert evicted.pod.evicted == "disk pressure"
    assert not evicted.disrupted
    assert read_job_run(job(status=condition("Failed", reason="PodFailurePolicy")), []).disrupted
    target = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert read_job_run(job(status=condition("Failed")), [pod(target)]).disrupted


def test_finished_jobs_that_do_not_expire_yet_expire():
    ended = job(status=condition("Complete"), name="b")
    runs = [
        read_job_run(ended, []),
        read_job_run(job(status=condition("Failed"), name="a"), []),
        read_job_run(job(status=condition("Complete"), spec={"ttlSecondsAfterFinished": 0}), []),
        read_job_run(job(), []),
    ]
    moment = dt.datetime(2026, 1, 1, 0, 0, 30, tzinfo=dt.UTC)
    assert expire_finished(runs) == (ExpireJob("a", "job-uid", moment), ExpireJob("b", "job-uid", moment))
