"""Run helm upgrade and helm uninstall on the running installation, then install it again with its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.harness import custom_resources
from e2e.harness.installation import CHART, Helm, Release
from e2e.harness.kubectl import Body, Kubectl

pytestmark = pytest.mark.e2e

CHART_BEFORE = Path(__file__).parents[1] / "chart" / "fixtures" / "tunewright-2f5b22b.tgz"
VERSIONING = {"resourceVersion", "managedFields"}
SYSTEM = "tunewright-system"
OPERATOR = "tunewright-operator"
FINALIZER = "tunewright.dev/in-use"

BASE_MODEL = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "BaseModel",
    "metadata": {"name": "install-test"},
    "spec": {
        "source": {"s3": {"uri": "s3://nowhere/install-test"}},
        "storage": {"secretRef": {"name": "install-test-has-none"}},
        "contextLength": 512,
    },
}


@pytest.fixture
def base_model(kubectl: Kubectl) -> Iterator[str]:
    """Create a BaseModel that has the operator's finalizer, and delete it at the end."""
    name = BASE_MODEL["metadata"]["name"]
    kubectl.apply(BASE_MODEL)
    kubectl.wait_for("basemodel", name, None, lambda body: FINALIZER in body["metadata"].get("finalizers", []))
    yield name
    kubectl.delete("basemodel", name)


def read_objects(manifest: str) -> dict[tuple[str, str], Body]:
    """Return the objects of a manifest by kind and name."""
    bodies = [body for body in yaml.safe_load_all(manifest) if body]
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def fetch_contents(kubectl: Kubectl, manifest: str) -> dict[tuple[str, str], Body]:
    """Return the objects of a manifest as the cluster has them, without status, version and field managers."""
    done = kubectl.run("get", "-f", "-", "-o", "json", stdin=manifest)
    contents = {}
    for body in json.loads(done.stdout)["items"]:
        metadata = {key: value for key, value in body["metadata"].items() if key not in VERSIONING}
        kept = {key: value for key, value in body.items() if key != "status"}
        contents[body["kind"], body["metadata"]["name"]] = {**kept, "metadata": metadata}
    return contents


def test_upgrade_with_the_same_values_replaces_no_pod(kubectl: Kubectl, helm: Helm, release: Release) -> None:
    name, values = release.name, release.values
    before = kubectl.get("deployment", OPERATOR, SYSTEM)
    helm("upgrade", name, str(CHART), "-f", str(values))
    after = kubectl.get("deployment", OPERATOR, SYSTEM)
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_upgrade_reuses_the_values_of_the_release_before(helm: Helm, release: Release) -> None:
    name, values = release.name, release.values
    # Without operator and definitions: older ones must not touch the resources of the other tests.
    options = ("--set", "crds.enabled=false", "--set", "operator.replicas=0")
    try:
        helm("upgrade", name, str(CHART_BEFORE), "-f", str(values), *options)
        helm("upgrade", name, str(CHART), "--reuse-values")
        wanted = helm("template", name, str(CHART), "--no-hooks", "-f", str(values), *options)
        assert read_objects(helm("get", "manifest", name)) == read_objects(wanted)
    finally:
        release.upgrade()


def test_applying_the_chart_with_another_field_manager_shows_no_drift(
    kubectl: Kubectl, helm: Helm, release: Release
) -> None:
    """A GitOps tool applies what `helm template` prints, server-side and under its own name, at every sync."""
    name, values = release.name, release.values
    manifest = helm("template", name, str(CHART), "--no-hooks", "-f", str(values))
    options = ("--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-")
    installed = fetch_contents(kubectl, manifest)
    for _ in range(2):
        kubectl.run("apply", *options, stdin=manifest)
        assert fetch_contents(kubectl, manifest) == installed
    diff = kubectl.run("diff", *options, stdin=manifest, check=False)
    assert diff.returncode == 0, diff.stdout + diff.stderr


def test_uninstall_releases_finalizers_and_keeps_resources(
    kubectl: Kubectl, helm: Helm, release: Release, base_model: str
) -> None:
    try:
        helm("uninstall", release.name, "--wait", "--timeout", "5m")
        body = kubectl.get("basemodel", base_model)
        assert body is not None, "crds.keep keeps the custom resources"
        assert FINALIZER not in body["metadata"].get("finalizers", [])
        assert kubectl.get("deployment", OPERATOR, SYSTEM) is None
        kubectl.delete("basemodel", base_model, None, "--timeout=20s")
    finally:
        release.upgrade()


def test_uninstall_without_keeping_deletes_resources_and_definitions(
    kubectl: Kubectl, helm: Helm, release: Release, base_model: str
) -> None:
    name, values = release.name, release.values
    shared = custom_resources.save(kubectl)
    assert base_model in [body["metadata"]["name"] for body in shared]
    try:
        helm("upgrade", name, str(CHART), "-f", str(values), "--set", "crds.keep=false")
        helm("uninstall", name, "--wait", "--timeout", "5m")
        assert custom_resources.list_definitions(kubectl) == []
    finally:
        release.upgrade()
        custom_resources.restore(kubectl, [body for body in shared if body["metadata"]["name"] != base_model])
