"""The running cluster as fixtures. `make test` brings it up and installs the chart before it runs these tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import serving
from e2e.harness.bucket import Bucket
from e2e.harness.failures import folder_name, keep_evidence
from e2e.harness.jobs import build_records
from e2e.harness.kubectl import Kubectl, is_true
from tunewright_dev import installation, objectstore, paths, storage_access, tenants
from tunewright_dev.kubectl import Kubectl as DevKubectl

PATHS = paths.find_paths()
_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl as the cluster's administrator."""
    program = PATHS.build / "bin" / "kubectl"
    if not PATHS.kubeconfig.is_file() or not program.exists():
        pytest.fail(
            f"{PATHS.kubeconfig} does not exist: `make up` starts the cluster, `make test` does that by itself",
            pytrace=False,
        )
    return Kubectl(str(program), PATHS.kubeconfig)


@pytest.fixture(scope="session")
def dev_kubectl(kubectl: Kubectl) -> DevKubectl:
    """The same cluster for functions of `tunewright_dev`."""
    return DevKubectl(PATHS.build / "bin" / "kubectl", PATHS.kubeconfig)


@pytest.fixture(scope="session")
def bucket(dev_kubectl: DevKubectl) -> Iterator[Bucket]:
    """The object store's bucket, as its administrator."""
    with storage_access.open_store(PATHS, dev_kubectl) as store:
        yield Bucket(store, objectstore.BUCKET)


@pytest.fixture(scope="session")
def platform(kubectl: Kubectl) -> Kubectl:
    """The installed operator with the base models `tiny` and `smollm2` in its catalogue."""
    done = kubectl.run(
        "-n",
        installation.NAMESPACE,
        "rollout",
        "status",
        "deployment/tunewright-operator",
        "--timeout=120s",
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"the operator is not running: `make install` installs it\n{done.stderr}", pytrace=False)
    kubectl.apply(build_base_model("tiny", 1), build_base_model("smollm2", 135))
    for name in ("tiny", "smollm2"):
        kubectl.wait_for("basemodel", name, None, lambda body: is_true(body, "Ready"), timeout=180)
    return kubectl


def build_base_model(name: str, parameters_millions: int) -> dict[str, Any]:
    """Return a BaseModel of one of the models that `make install` uploads."""
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "BaseModel",
        "metadata": {"name": name},
        "spec": {
            "source": {"s3": {"uri": f"s3://{objectstore.BUCKET}/models/{name}"}},
            "storage": {"secretRef": {"name": installation.READ_SECRET}},
            "license": {"spdx": "Apache-2.0", "commercialUse": "Allowed"},
            "parametersMillions": parameters_millions,
            "contextLength": 2048,
        },
    }


@pytest.fixture(scope="session")
def pool(request: pytest.FixtureRequest, platform: Kubectl, dev_kubectl: DevKubectl, bucket: Bucket) -> Iterator[str]:
    """The namespace of a ModelServer with two replicas on the tiny model, shared by all tests: vLLM starts slowly."""
    namespace = f"serving-{uuid.uuid4().hex[:8]}"
    tenants.ensure_namespace(dev_kubectl, namespace)
    tenants.ensure_storage_secret(dev_kubectl, namespace, "s3-read", "server")
    bucket.put(serving.HELD_OUT_KEY, build_records(8))
    platform.apply(serving.build_server(namespace, 2))
    serving.wait_ready(platform, namespace)
    yield namespace
    if request.session.testsfailed:
        keep_evidence(
            platform,
            PATHS.build / "e2e" / "serving",
            [namespace, installation.NAMESPACE, objectstore.NAMESPACE],
        )
    platform.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def base_digest(platform: Kubectl) -> str:
    """The digest of the tiny model as inspection found it."""
    body = platform.get("basemodel", "tiny")
    assert body is not None
    return str(body["status"]["digest"])


@pytest.fixture
def team(request: pytest.FixtureRequest, platform: Kubectl, dev_kubectl: DevKubectl) -> Iterator[str]:
    """A team's namespace of its own, with the storage Secret `s3`; what failed in it is kept in build/e2e/."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    tenants.ensure_namespace(dev_kubectl, name, tenant=True)
    tenants.ensure_storage_secret(dev_kubectl, name, "s3", "trainer")
    yield name
    if request.node.stash.get(_FAILED, False):
        folder = PATHS.build / "e2e" / folder_name(request.node.name)
        keep_evidence(platform, folder, [name, installation.NAMESPACE, objectstore.NAMESPACE])
    platform.run("delete", "namespace", name, "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let waits end by their own message: a test's limit includes the pool's start and all that it waits for."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember failures for the fixtures' teardown."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where tests may leave files for a person."""
    folder = PATHS.build / "e2e"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
