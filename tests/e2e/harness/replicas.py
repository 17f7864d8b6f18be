"""The operator's replicas: which one is active, and how it ends."""

from __future__ import annotations

from e2e.harness.kubectl import Body, Kubectl, wait_until
from tunewright_dev import chart
from tunewright_dev.local import cgroups

DEPLOYMENT = "tunewright-operator"
LEASE = "tunewright-operator"
SELECTOR = "app.kubernetes.io/name=tunewright,app.kubernetes.io/component=operator"


def read_lease(kubectl: Kubectl) -> Body:
    """Return the spec of the operator's Lease; empty if there is none."""
    lease = kubectl.get("lease", LEASE, chart.NAMESPACE)
    return dict(lease["spec"]) if lease else {}


def find_active(kubectl: Kubectl) -> str:
    """Return the pod that holds the Lease; empty if no replica does, or one that does not exist any more."""
    holder = str(read_lease(kubectl).get("holderIdentity", ""))
    return holder if any(pod["metadata"]["name"] == holder for pod in list_pods(kubectl)) else ""


def list_pods(kubectl: Kubectl) -> list[Body]:
    """Return the operator's pods that are not being deleted."""
    pods = kubectl.list("pods", chart.NAMESPACE, SELECTOR)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def wait_complete(kubectl: Kubectl, *, timeout: float = 180) -> None:
    """Wait until every wanted replica is ready, one of them is active, and no other pod is left."""

    def complete() -> bool:
        deployment = kubectl.get("deployment", DEPLOYMENT, chart.NAMESPACE)
        assert deployment is not None
        wanted, status = deployment["spec"]["replicas"], deployment["status"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        is_current = status.get("observedGeneration") == deployment["metadata"]["generation"]
        running = len(kubectl.list("pods", chart.NAMESPACE, SELECTOR))
        return bool(is_current and counts == [wanted] * 3 and running == wanted and find_active(kubectl))

    wait_until(complete, timeout=timeout, describe=lambda: repr([pod["status"] for pod in list_pods(kubectl)]))


def crash(kubectl: Kubectl, pod: str) -> bool:
    """Kill the process of a replica; return False if it does not run on this machine."""
    body = kubectl.get("pod", pod, chart.NAMESPACE)
    statuses = (body or {}).get("status", {}).get("containerStatuses") or [{}]
    container = str(statuses[0].get("containerID", "")).rpartition("//")[2]
    return bool(container) and cgroups.kill_container(container)


def delete_at_once(kubectl: Kubectl, pod: str) -> None:
    """Delete a replica's pod without a grace period and without waiting for its end."""
    options = ("--grace-period=0", "--force", "--wait=false", "--ignore-not-found")
    kubectl.run("delete", "pod", pod, "-n", chart.NAMESPACE, *options)
