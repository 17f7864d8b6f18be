"""A ModelServer's Deployment and pods: which ones belong to it, and what Kubernetes reports of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tunewright_contracts.phase_result import PhaseResult, read_termination_message
from tunewright_contracts.serving_plan import PlanStatus, PodState, ServingPlan
from tunewright_contracts.values import MAX_COUNT
from tunewright_operator.api.containers import SERVER_CONTAINERS, find_container_status
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.domain.job_run import read_pod_run
from tunewright_operator.domain.pod_admission import describe_changes

MAX_REPORTED_GENERATION = MAX_COUNT // 2
"""A pod that reports a higher generation of a document is broken: no document had it."""


@dataclasses.dataclass(frozen=True)
class ServerPod:
    """A pod whose owner chain ends at the ModelServer. ``ip`` is empty until its containers run."""

    uid: str
    namespace: str
    name: str
    ip: str = ""
    ready: bool = False
    """Whether clients reach it: the readiness probe succeeds, and the pod is not being deleted."""
    problem: str = ""
    """Why it does not run, as reported by the scheduler, the kubelet or the pod itself."""
    changes: str = ""
    """A sentence on the resources that admission gave the server's container instead of those that were asked for."""


@dataclasses.dataclass(frozen=True)
class DeploymentFacts:
    """The Deployment that a ModelServer controls."""

    replicas: int = 0
    """The number of its pods, ready or not."""
    ready_replicas: int = 0
    updated: bool = True
    """Whether all pods run the pod template that was applied last."""
    refused: str = ""
    """Why the API server refuses to create more pods (a quota, a policy), in its own message."""


@dataclasses.dataclass(frozen=True)
class EngineFacts:
    """The engine of a server's pods: equal identities give equal answers to the same question."""

    identity: str
    """The identity of the pod template that was applied last."""
    everywhere: bool
    """Whether all pods run it; False while pods are replaced or added."""


def read_deployment(server_uid: str, deployment: Mapping[str, Any] | None) -> DeploymentFacts | None:
    """Return the facts of a Deployment's body; None if there is none or it has another controller."""
    if deployment is None or controller_uid(deployment) != server_uid:
        return None
    status = deployment.get("status", {})
    observed = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    replicas = int(status.get("replicas") or 0)
    failures = [
        item for item in status.get("conditions") or [] if item["type"] == "ReplicaFailure" and item["status"] == "True"
    ]
    return DeploymentFacts(
        replicas=replicas,
        ready_replicas=int(status.get("readyReplicas") or 0),
        updated=observed and int(status.get("updatedReplicas") or 0) == replicas,
        refused=str(failures[0].get("message") or "") if failures else "",
    )


def find_own_pods(
    server_uid: str,
    deployment: Mapping[str, Any] | None,
    replica_sets: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
) -> tuple[ServerPod, ...]:
    """Return the pods of a server, sorted by name.

    Every user who can create pods can set their labels, and no other pod may get a plan or a token. So each link of
    pod → ReplicaSet → Deployment → ModelServer is checked by UID.
    """
    if deployment is None or controller_uid(deployment) != server_uid:
        return ()
    templates = {
        item["metadata"]["uid"]: item.get("spec", {}).get("template") or {}
        for item in replica_sets
        if controller_uid(item) == deployment["metadata"]["uid"]
    }
    own = [
        read_server_pod(pod, templates[owner])
        for pod, owner in ((pod, controller_uid(pod)) for pod in pods)
        if owner in templates
    ]
    return tuple(sorted(own, key=lambda pod: pod.name))


def trust_generation(reported: int) -> int:
    """Return the generation that a pod reports, or 0 if no document had it: one pod could use up all generations."""
    return reported if reported <= MAX_REPORTED_GENERATION else 0


def find_pods_without(
    plan: ServingPlan, pods: Iterable[ServerPod], states: Mapping[str, PodState]
) -> tuple[ServerPod, ...]:
    """Return the answering pods that have applied neither a plan nor a later one."""
    return tuple(pod for pod in pods if pod.uid in states and _lacks(states[pod.uid], plan))


def _lacks(state: PodState, plan: ServingPlan) -> bool:
    return state.plan_generation < plan.generation or state.plan_status is PlanStatus.NONE


def read_server_pod(pod: Mapping[str, Any], template: Mapping[str, Any] | None = None) -> ServerPod:
    """Return the facts of a pod's body; ``template`` is the pod template of its ReplicaSet."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or []}
    leaving = bool(metadata.get("deletionTimestamp"))
    running = status.get("phase") == "Running"
    return ServerPod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        ip=(status.get("podIP") or "") if running else "",
        ready=running and not leaving and conditions.get("Ready") == "True",
        problem="" if leaving else _explain(pod),
        changes="" if leaving else describe_changes(template or {}, pod, SERVER_CONTAINERS),
    )


def _explain(pod: Mapping[str, Any]) -> str:
    """Return what the container waits for, and how its last run ended."""
    waiting = read_pod_run(pod, SERVER_CONTAINERS).waiting
    container = find_container_status(pod, SERVER_CONTAINERS)
    ended = (
        (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated") or {}
    )
    if not ended:
        return waiting
    message = str(ended.get("message") or "").strip()
    result = read_termination_message(PhaseResult, message)
    if result is not None:
        end = f"{result.reason}: {result.message}"
    else:
        end = f"ended with exit code {ended.get('exitCode')} ({ended.get('reason', 'no reason')}). {message[-512:]}"
    return f"{waiting}; before that: {end}" if waiting else end
