"""The running cluster as fixtures. `make test` brings it up and installs the chart before it runs these tests."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Generator, Iterator

import pytest

from e2e.harness import serving
from e2e.harness.base_models import build_base_model
from e2e.harness.bucket import Bucket
from e2e.harness.failures import folder_name, keep_evidence
from e2e.harness.installation import Helm, Release, read_release
from e2e.harness.jobs import build_records
from e2e.harness.kubectl import Kubectl, is_true
from tunewright_dev import chart, paths, tenants
from tunewright_dev.kubectl import Kubectl as DevKubectl
from tunewright_dev.object_store import endpoint as object_store
from tunewright_dev.target import find_target

PATHS = paths.find_paths()
EVIDENCE = PATHS.build / "e2e"
_EVIDENCE_IS_KEPT = pytest.StashKey[bool]()
_SEEN = pytest.StashKey[list[BaseException]]()


@pytest.fixture(scope="session", autouse=True)
def no_old_evidence() -> None:
    """Empty build/e2e, so that it holds only this run's evidence."""
    shutil.rmtree(EVIDENCE, ignore_errors=True)


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl as the cluster's administrator."""
    found = _find_kubectl()
    if found is None:
        pytest.fail(
            f"{PATHS.kubeconfig} does not exist: `make up` starts the cluster, `make test` does so too",
            pytrace=False,
        )
    return found


@pytest.fixture(scope="session")
def dev_kubectl(kubectl: Kubectl) -> DevKubectl:
    """The same cluster for functions of `tunewright_dev`."""
    return DevKubectl(PATHS.build / "bin" / "kubectl", PATHS.kubeconfig)


@pytest.fixture(scope="session")
def bucket(dev_kubectl: DevKubectl) -> Iterator[Bucket]:
    """The object store's bucket, as its administrator."""
    with find_target().open_store(dev_kubectl) as store:
        yield Bucket(store, object_store.BUCKET)


@pytest.fixture(scope="session")
def platform(kubectl: Kubectl) -> Kubectl:
    """The installed operator with the base models `tiny` and `smollm2` in its catalogue."""
    done = kubectl.run(
        "-n",
        chart.NAMESPACE,
        "rollout",
        "status",
        "deployment/tunewright-operator",
        "--timeout=120s",
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"the operator is not running: `make install` installs it\n{done.stderr}", pytrace=False)
    models = {"tiny": 1, "smollm2": 135}
    licence = {"spdx": "Apache-2.0"}
    kubectl.apply(
        *(
            build_base_model(name, model=name, license=licence, parametersMillions=millions)
            for name, millions in models.items()
        )
    )
    for name in models:
        kubectl.wait_for("basemodel", name, None, lambda body: is_true(body, "Ready"), timeout=180)
    return kubectl


@pytest.fixture(scope="session")
def helm(platform: Kubectl) -> Helm:
    """helm in the operator's namespace."""
    return Helm(PATHS.kubeconfig)


@pytest.fixture(scope="session")
def release(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The installed release as it was before the first test that changes it."""
    return read_release(helm, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def pool_namespace(platform: Kubectl) -> Iterator[str]:
    """The name of a namespace for `pool`, deleted at the end, after the evidence of a failed start was kept."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    yield name
    platform.delete("namespace", name, None, "--wait=false")


@pytest.fixture(scope="session")
def pool(platform: Kubectl, dev_kubectl: DevKubectl, bucket: Bucket, pool_namespace: str) -> str:
    """The namespace of a pool with two replicas on the tiny model, shared by all tests because vLLM starts slowly."""
    namespace = pool_namespace
    tenants.ensure_namespace(dev_kubectl, namespace)
    tenants.ensure_storage_secret(dev_kubectl, namespace, "s3-read", "server")
    bucket.put(serving.HELD_OUT_KEY, build_records(8))
    platform.apply(serving.build_server(namespace, 2))
    serving.wait_ready(platform, namespace)
    return namespace


@pytest.fixture(scope="session")
def base_digest(platform: Kubectl) -> str:
    """The digest of the tiny model as inspection found it."""
    body = platform.get("basemodel", "tiny")
    assert body is not None
    return str(body["status"]["digest"])


@pytest.fixture
def team_namespace(platform: Kubectl) -> Iterator[str]:
    """The name of a namespace for `team`, deleted at the end."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    yield name
    platform.delete("namespace", name, None, "--wait=false")


@pytest.fixture
def team(platform: Kubectl, dev_kubectl: DevKubectl, team_namespace: str) -> str:
    """A namespace for one team, with the storage Secret `s3` and the client of the tests."""
    tenants.ensure_namespace(dev_kubectl, team_namespace, tenant=True)
    tenants.ensure_storage_secret(dev_kubectl, team_namespace, "s3", "trainer")
    platform.apply(serving.build_client(team_namespace, serving.KEY))
    return team_namespace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test time for the pool's start and all its waits, so that a wait fails first, with its message."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the evidence of a failure in build/e2e/, in any phase, before the fixtures are torn down."""
    report = yield
    if report.failed and call.excinfo is not None and _needs_evidence(item, call.excinfo.value):
        report.sections.append(("evidence", _keep_evidence(item)))
    return report


def _needs_evidence(item: pytest.Item, error: BaseException) -> bool:
    """Return whether this failure involves the cluster and its evidence is not kept yet.

    A shared fixture that failed raises the same exception in every test that needs it.
    """
    seen = item.config.stash.setdefault(_SEEN, [])
    if "platform" not in getattr(item, "fixturenames", ()) or any(error is other for other in seen):
        return False
    seen.append(error)
    return not item.stash.get(_EVIDENCE_IS_KEPT, False)


def _keep_evidence(item: pytest.Item) -> str:
    """Keep the evidence of a failure and return a text for the report. An error here must not hide the failure."""
    item.stash[_EVIDENCE_IS_KEPT] = True
    folder = EVIDENCE / folder_name(item.name)
    found = _find_kubectl()
    if found is None:
        return "none: there is no cluster"
    try:
        keep_evidence(found, folder)
    except OSError as error:
        return f"not kept: {error}"
    return f"kept in {folder}"


def _find_kubectl() -> Kubectl | None:
    program = PATHS.build / "bin" / "kubectl"
    if not PATHS.kubeconfig.is_file() or not program.exists():
        return None
    return Kubectl(str(program), PATHS.kubeconfig)
