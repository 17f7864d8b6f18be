"""Simulate the Job controller and the kubelet for `FakeCluster`: tests start, end, kill and remove pods."""

from __future__ import annotations

from typing import Any

from support.clusters.fake_cluster import FakeCluster, refer_to_controller
from tunewright_contracts.phase_result import PhaseResult
from tunewright_operator.api.kinds import CONFIG_MAP, EVENT, JOB, POD, SECRET
from tunewright_operator.cluster import Body

NAMESPACE = "support"


class FakeJobs:
    """One pod per Job, named ``<job>-pod``."""

    def __init__(self, cluster: FakeCluster, namespace: str = NAMESPACE) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def names(self) -> list[str]:
        return sorted(body["metadata"]["name"] for body in self.cluster.bodies(JOB))

    def request(self, name: str) -> str:
        """Return the text of the run specification that the Job's pod reads."""
        job = self.cluster.peek(JOB, self.namespace, name)
        volume = next(item for item in job["spec"]["template"]["spec"]["volumes"] if item["name"] == "request")
        return self.cluster.peek(CONFIG_MAP, self.namespace, volume["configMap"]["name"])["data"]["run.json"]

    def missing_volumes(self, name: str) -> list[str]:
        """Return the missing ConfigMaps and Secrets among those that the Job's pod must mount."""
        job = self.cluster.peek(JOB, self.namespace, name)
        missing = []
        for volume in job["spec"]["template"].get("spec", {}).get("volumes", []):
            for kind, source, key in ((CONFIG_MAP, "configMap", "name"), (SECRET, "secret", "secretName")):
                found = volume.get(source)
                if found and not found.get("optional") and self.cluster.find(kind, self.namespace, found[key]) is None:
                    missing.append(f"{kind} {found[key]}")
        return missing

    def create_pod(self, name: str, status: Body | None = None) -> None:
        job = self.cluster.peek(JOB, self.namespace, name)
        assert not job["spec"].get("suspend"), "a suspended Job gets no pod"
        self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{name}-pod",
                    "namespace": self.namespace,
                    "labels": dict(job["spec"]["template"]["metadata"]["labels"]),
                    "ownerReferences": [refer_to_controller(job)],
                },
                "spec": {},
                "status": status or {"phase": "Pending"},
            }
        )

    def start(self, name: str, ip: str = "10.0.0.7") -> None:
        """Set the Job's pod to Running; all that its volumes name must exist."""
        missing = self.missing_volumes(name)
        assert not missing, f"the pod of Job {name} waits for {missing}"
        self.create_pod(name)
        self._set_pod(name, {"phase": "Running", "podIP": ip}, {"running": {"startedAt": self.cluster.clock.text}})

    def give_resources(self, name: str, resources: Body) -> None:
        """Give the pod's container other resources than its Job asks for, as a LimitRange does."""
        (container,) = self.cluster.peek(JOB, self.namespace, name)["spec"]["template"]["spec"]["containers"]

        def change(pod: Body) -> None:
            pod["spec"] = {"containers": [{**container, "resources": resources}]}

        self.cluster.edit(POD, self.namespace, f"{name}-pod", change)

    def refuse_pod(self, name: str, message: str) -> None:
        """Report, as the Job controller does, that the API server refused to create the Job's pod."""
        job = self.cluster.peek(JOB, self.namespace, name)
        self.cluster.put(
            {
                "apiVersion": EVENT.api_version,
                "kind": EVENT.name,
                "metadata": {"name": f"{name}.{self.cluster.clock.text}", "namespace": self.namespace},
                "involvedObject": {"kind": "Job", "name": name, "uid": job["metadata"]["uid"]},
                "reason": "FailedCreate",
                "type": "Warning",
                "message": f"Error creating: {message}",
                "lastTimestamp": self.cluster.clock.text,
            }
        )

    def finish(self, name: str, result: PhaseResult, *, exit_code: int = 0) -> None:
        """End the running pod with a result as its termination message."""
        self.die(name, exit_code=exit_code, message=result.to_termination_message(), reason="Completed")

    def die(
        self, name: str, *, exit_code: int, message: str = "", reason: str = "Error", disrupted: bool = False
    ) -> None:
        """End the running pod and the Job."""
        pod = self.cluster.peek(POD, self.namespace, f"{name}-pod")
        own = next(item for item in pod["status"]["containerStatuses"] if "running" in item["state"])
        started = own["state"]["running"]["startedAt"]
        terminated: dict[str, Any] = {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": self.cluster.clock.text,
        }
        if message:
            terminated["message"] = message
        self._set_pod(name, {"phase": "Failed" if exit_code else "Succeeded"}, {"terminated": terminated})
        self.end_job(name, failed=exit_code != 0, reason="PodFailurePolicy" if disrupted else "BackoffLimitExceeded")

    def end_job(self, name: str, *, failed: bool, reason: str = "BackoffLimitExceeded") -> None:
        condition = {
            "type": "Failed" if failed else "Complete",
            "status": "True",
            "reason": reason if failed else "CompletionsReached",
            "message": "Job has reached the specified backoff limit" if failed else "",
            "lastTransitionTime": self.cluster.clock.text,
        }

        def change(job: Body) -> None:
            job["status"] = {"conditions": [condition]}

        self.cluster.edit(JOB, self.namespace, name, change)

    def lose_pod(self, name: str) -> None:
        """Remove the pod, as `kubectl delete pod` or a lost node does; a running Job fails."""
        self.cluster.remove(POD, self.namespace, f"{name}-pod")
        if not self.cluster.peek(JOB, self.namespace, name).get("status", {}).get("conditions"):
            self.end_job(name, failed=True)

    def _set_pod(self, name: str, status: Body, state: Body) -> None:
        job = self.cluster.peek(JOB, self.namespace, name)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        # The kubelet sorts by name. A service mesh has added a container.
        statuses = [{"name": "a-proxy", "state": {"waiting": {}}}, {"name": container["name"], "state": state}]

        def change(pod: Body) -> None:
            pod["status"] = {**pod["status"], **status, "containerStatuses": statuses}

        self.cluster.edit(POD, self.namespace, f"{name}-pod", change)
