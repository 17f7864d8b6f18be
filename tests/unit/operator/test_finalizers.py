"""Before an uninstall, the operator is stopped and its finalizers are removed; those of others stay."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import BASE_MODEL, DEPLOYMENT, MODEL_SERVER
from tunewright_operator.cluster import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from tunewright_operator.finalizers import release_finalizers, stop_operator


def put_model(cluster: FakeCluster, name: str, *finalizers: str) -> None:
    metadata: dict[str, Any] = {"name": name, "finalizers": list(finalizers)}
    cluster.put({"apiVersion": BASE_MODEL.api_version, "kind": BASE_MODEL.name, "metadata": metadata, "spec": {}})


async def test_the_operators_finalizers_are_removed_and_others_stay():
    cluster = FakeCluster()
    put_model(cluster, "a", "tunewright.dev/in-use", "other.io/x")
    put_model(cluster, "b")
    assert await release_finalizers(cluster) == 1
    assert cluster.peek(BASE_MODEL, None, "a")["metadata"]["finalizers"] == ["other.io/x"]
    assert await release_finalizers(cluster) == 0


async def test_a_resource_whose_deletion_waits_for_the_finalizer_is_deleted():
    cluster = FakeCluster()
    put_model(cluster, "a", "tunewright.dev/in-use")
    await cluster.delete(BASE_MODEL, None, "a")
    await release_finalizers(cluster)
    assert await cluster.get(BASE_MODEL, None, "a") is None


async def test_a_missing_crd_does_not_prevent_the_removal_from_other_kinds():
    cluster = FakeCluster()
    metadata = {"name": "s", "namespace": "serving", "finalizers": ["tunewright.dev/in-use"]}
    cluster.put({"apiVersion": MODEL_SERVER.api_version, "kind": MODEL_SERVER.name, "metadata": metadata, "spec": {}})
    cluster.fail_next(NotFoundError("the server could not find the requested resource"), "list", BASE_MODEL)
    assert await release_finalizers(cluster) == 1


NOT_SERVED = UnavailableError("GET /apis/tunewright.dev/v1alpha1/basemodels: 404 : 404 page not found")
"""The answer of an API server without the CRD: it is not about an object."""


async def test_a_kind_that_is_not_served_is_skipped_only_if_its_crd_does_not_exist():
    cluster = FakeCluster()
    put_model(cluster, "a", "tunewright.dev/in-use")
    cluster.fail_next(NOT_SERVED, "list", BASE_MODEL, times=2)
    assert await release_finalizers(cluster) == 0
    metadata = {"name": "basemodels.tunewright.dev"}
    cluster.put({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata})
    with pytest.raises(UnavailableError):
        await release_finalizers(cluster)
    assert await release_finalizers(cluster) == 1


async def test_a_conflict_is_retried_and_a_refusal_is_raised():
    cluster = FakeCluster()
    put_model(cluster, "a", "tunewright.dev/in-use")
    cluster.fail_next(ConflictError("changed"), "patch_metadata")
    assert await release_finalizers(cluster) == 1
    put_model(cluster, "a", "tunewright.dev/in-use")
    cluster.fail_next(ForbiddenError("no"), "patch_metadata")
    with pytest.raises(ForbiddenError):
        await release_finalizers(cluster)


async def test_the_operator_is_scaled_to_zero_and_never_created():
    cluster = FakeCluster()
    await stop_operator(cluster, "sys", "tunewright")
    assert cluster.writes == []
    metadata = {"name": "tunewright", "namespace": "sys"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": 2, "template": {"x": 1}},
    }
    cluster.put(body)
    await stop_operator(cluster, "sys", "tunewright")
    assert cluster.peek(DEPLOYMENT, "sys", "tunewright")["spec"] == {"replicas": 0, "template": {"x": 1}}
