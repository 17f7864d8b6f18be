"""The operator's client on the real API server: a status is written, and nothing else of the object changes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from kubernetes.aio.config import kube_config

from e2e.conftest import PATHS
from e2e.harness.kubectl import Kubectl
from support.crds.cases import read_tables
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.cluster import ConflictError
from tunewright_operator.kubernetes_api.kubernetes_cluster import KubernetesCluster, open_cluster

pytestmark = pytest.mark.e2e

NAMESPACE = f"status-writes-{uuid.uuid4().hex[:8]}"
ATTEMPTS = 20


@pytest.fixture
def job(kubectl: Kubectl) -> Iterator[str]:
    """Create a job with labels by server-side apply. It starts nothing, because its Secret does not exist."""
    base = read_tables()["FineTuneJob"].base
    name = str(base["metadata"]["name"])
    metadata = {"labels": {"team": "support"}, "annotations": {"note": "kept"}}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubectl.apply({**base, "metadata": {**base["metadata"], **metadata}}, namespace=NAMESPACE)
    yield name
    kubectl.delete("FineTuneJob", name, NAMESPACE)
    kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesCluster]:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(PATHS.kubeconfig))
    async with open_cluster("test") as cluster:
        yield cluster


async def test_a_status_write_leaves_the_rest_and_its_field_managers(cluster: KubernetesCluster, job: str) -> None:
    before, after = await _write_phase(cluster, job, "Pending")
    kept = ("labels", "annotations", "finalizers", "generation", "uid")
    assert after["spec"] == before["spec"]
    assert [after["metadata"].get(key) for key in kept] == [before["metadata"].get(key) for key in kept]
    assert after["status"]["phase"] == "Pending"
    assert _owners(after) == _owners(before)
    assert any("f:labels" in str(fields) and "f:spec" in str(fields) for fields in _owners(after).values())


async def _write_phase(cluster: KubernetesCluster, name: str, phase: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write a status; the operator may write another one at the same time, so try again after a conflict."""
    for _ in range(ATTEMPTS):
        before = await cluster.get(FINE_TUNE_JOB, NAMESPACE, name)
        assert before is not None
        try:
            return before, await cluster.replace_status(before, {**(before.get("status") or {}), "phase": phase})
        except ConflictError:
            continue
    pytest.fail("the job changed before every write")


def _owners(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of each manager, without those of the status."""
    return {
        f"{entry['manager']} {entry['operation']}": entry["fieldsV1"]
        for entry in body["metadata"]["managedFields"]
        if not entry.get("subresource")
    }
