"""Simulate the Deployment controller and the kubelet for `FakeCluster`, for the pool of one namespace.

It replaces pods according to the update strategy, mounts the plan into new pods and runs the readiness probe.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial

import orjson

from support.clusters.fake_cluster import FakeCluster, refer_to_controller
from support.clusters.fake_pods import FakePod, FakeServerPods
from tunewright_contracts.clients.access_list import ACCESS_KEY, AccessList, SignedAccessList
from tunewright_contracts.serving_plan import PLAN_KEY, ServingPlan, SignedPlan
from tunewright_operator.api.kinds import CONFIG_MAP, DEPLOYMENT, POD, REPLICA_SET
from tunewright_operator.cluster import Body


class FakeDeployments:
    """Pods named ``pool-<number>``; the `FakePod` of a pod's uid in `servers` is its process."""

    def __init__(self, cluster: FakeCluster, servers: FakeServerPods, namespace: str) -> None:
        self._cluster = cluster
        self._servers = servers
        self._namespace = namespace
        self._number = 0

    def run(self) -> None:
        """Create or delete at most one pod of every Deployment of the namespace, towards its spec."""
        for deployment in self._cluster.bodies(DEPLOYMENT, self._namespace):
            self._run_deployment(deployment)

    def pods(self) -> list[Body]:
        return self._cluster.bodies(POD, self._namespace)

    def servers(self) -> list[FakePod]:
        return [self._server_of(body) for body in self.pods()]

    def ready_servers(self) -> list[FakePod]:
        """Return the processes to which a Service sends requests."""
        return [self._server_of(body) for body in self.pods() if _is_ready(body)]

    def kill(self, name: str) -> None:
        self._servers.pods.pop(self._cluster.peek(POD, self._namespace, name)["metadata"]["uid"])
        self._cluster.remove(POD, self._namespace, name)

    def mounted_plan(self) -> ServingPlan | None:
        """Return the plan that the kubelet mounts into new pods, or None before the operator wrote one."""
        body = self._cluster.find(CONFIG_MAP, self._namespace, "pool-plan")
        return _read_signed(body["data"][PLAN_KEY]) if body else None

    def mounted_access(self) -> AccessList | None:
        """Return the access list that the kubelet mounts into new pods, or None before the operator wrote one."""
        body = self._cluster.find(CONFIG_MAP, self._namespace, "pool-access")
        if body is None:
            return None
        return AccessList.from_json(SignedAccessList.from_json(body["data"][ACCESS_KEY]).payload_bytes())

    def _server_of(self, pod: Body) -> FakePod:
        return self._servers.pods[pod["metadata"]["uid"]]

    def _run_deployment(self, deployment: Body) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        replica_set = self._find_replica_set(deployment)
        pods = self.pods()
        strategy = spec["strategy"]["rollingUpdate"]
        new = [pod for pod in pods if _is_of(pod, replica_set)]
        old = [pod for pod in pods if pod not in new]
        available = [pod for pod in pods if _is_ready(pod)]
        if len(new) < spec["replicas"] and len(pods) < spec["replicas"] + strategy["maxSurge"]:
            self._create_pod(replica_set, spec["template"]["metadata"]["labels"])
        elif old and len(available) > spec["replicas"] - strategy["maxUnavailable"]:
            self.kill(old[0]["metadata"]["name"])
        elif len(new) > spec["replicas"]:
            self.kill(new[-1]["metadata"]["name"])
        self._probe()
        pods = self.pods()
        status = {
            "observedGeneration": metadata["generation"],
            "replicas": len(pods),
            "updatedReplicas": sum(_is_of(pod, replica_set) for pod in pods),
            "readyReplicas": sum(_is_ready(pod) for pod in pods),
        }
        if deployment.get("status") != status:
            self._cluster.edit(DEPLOYMENT, self._namespace, metadata["name"], lambda body: body.update(status=status))

    def _find_replica_set(self, deployment: Body) -> Body:
        """Return the ReplicaSet of the Deployment's template; create one for a new template."""
        metadata = deployment["metadata"]
        template = orjson.dumps(deployment["spec"]["template"], option=orjson.OPT_SORT_KEYS)
        name = f"{metadata['name']}-{hashlib.sha256(template).hexdigest()[:8]}"
        found = self._cluster.find(REPLICA_SET, self._namespace, name)
        return found or self._cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": self._namespace,
                    "labels": metadata["labels"],
                    "ownerReferences": [refer_to_controller(deployment)],
                },
            }
        )

    def _create_pod(self, replica_set: Body, labels: dict[str, str]) -> None:
        self._number += 1
        body = self._cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"pool-{self._number}",
                    "namespace": self._namespace,
                    "labels": labels,
                    "ownerReferences": [refer_to_controller(replica_set)],
                },
                "spec": {},
                "status": {"phase": "Running", "podIP": f"10.0.0.{self._number}", "conditions": []},
            }
        )
        pod = self._servers.add(body["metadata"]["uid"])
        mounted = self.mounted_plan()
        if mounted is not None:
            pod.apply(mounted)
        access = self.mounted_access()
        if access is not None:
            pod.apply_access(access)

    def _probe(self) -> None:
        mounted = self.mounted_plan()
        for body in self.pods():
            pod = self._server_of(body)
            ready = pod.reachable and pod.ready and pod.settled and (mounted is None or pod.plan is not None)
            if _is_ready(body) != ready:
                conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
                self._cluster.edit(POD, self._namespace, body["metadata"]["name"], partial(_set_conditions, conditions))


@lru_cache(maxsize=256)
def _read_signed(text: str) -> ServingPlan | None:
    """Return the plan of a ConfigMap; cached, because each probe of a pod reads it."""
    return ServingPlan.from_json(SignedPlan.from_json(text).payload_bytes())


def _set_conditions(conditions: list[dict[str, str]], body: Body) -> None:
    body["status"]["conditions"] = conditions


def _is_of(pod: Body, replica_set: Body) -> bool:
    return bool(pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"])


def _is_ready(body: Body) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in body["status"].get("conditions", []))
