from __future__ import annotations

from tunewright_dev import topology
from tunewright_dev.object_store import deployment


def test_new_credentials_replace_the_stores_pod():
    def annotations(config):
        return deployment.build_deployment("image", config)["spec"]["template"]["metadata"]["annotations"]

    assert annotations({"s3.json": "1"}) == annotations({"s3.json": "1"})
    assert annotations({"s3.json": "1"}) != annotations({"s3.json": "2"})


def test_the_store_of_an_existing_cluster_needs_no_fixed_address_and_no_local_disk():
    assert "clusterIP" not in deployment.build_service()["spec"]
    assert deployment.build_service("10.96.0.33")["spec"]["clusterIP"] == str(topology.OBJECT_STORE_SERVICE)
    claim = deployment.build_claim()["spec"]
    assert "volumeName" not in claim
    assert "storageClassName" not in claim
