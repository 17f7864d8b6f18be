"""An existing cluster: the one of kubectl's current context. Nothing is installed on this machine.

`make up` adds a namespace with an object store to it, on a volume of the default class and behind a private authority,
as in the local cluster.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mypy_boto3_s3 import S3Client

from tunewright_dev import chart, commands, console, files
from tunewright_dev.errors import DevError
from tunewright_dev.existing import images as existing_images
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import access, deployment, endpoint, readiness
from tunewright_dev.paths import Paths

_PROGRAMS = ("kubectl", "helm")
# The custom resources in namespaces, and those of the cluster, in the order in which they can be deleted.
_NAMESPACED, _CLUSTER_SCOPED = ("finetunejobs", "modelclients", "adapterdeployments", "modelservers"), ("basemodels",)


def connect(paths: Paths) -> Kubectl:
    """Return a kubectl for a copy of the current context, so that a later change of the context has no effect.

    Raises:
        DevError: a program is missing, or the cluster does not answer.
    """
    programs = {name: shutil.which(name) for name in _PROGRAMS}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise DevError(explain_programs(missing))
    kubectl = str(programs["kubectl"])
    context = commands.capture([kubectl, "config", "view", "--minify", "--flatten", "--raw"])
    files.write(paths.kubeconfig, context, mode=0o600)
    _link_programs(paths, {name: Path(str(path)) for name, path in programs.items()})
    connected = Kubectl(Path(kubectl), paths.kubeconfig)
    connected.run("get", "--raw", "/readyz")
    return connected


def up(paths: Paths) -> Kubectl:
    """Install the object store in the cluster and wait for it.

    Raises:
        DevError: something is missing on this machine, an image could not be pushed, or the store did not become ready.
    """
    require_tools(paths)
    registry = existing_images.read_registry()
    kubectl = connect(paths)
    server = kubectl.run("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    console.say(f"  using the cluster at {server} and the registry {registry}")
    names = existing_images.ensure_images(paths, registry, cluster_only=True)
    with console.step("the object store", f"kubectl -n {endpoint.NAMESPACE} get pods,services"):
        deployment.deploy_anywhere(paths, kubectl, names["seaweedfs"])
        readiness.wait_available(kubectl)
        with open_store(paths, kubectl) as client:
            readiness.ensure_buckets(client)
    return kubectl


@contextmanager
def open_store(paths: Paths, kubectl: Kubectl) -> Iterator[S3Client]:
    """Yield a client of the object store, as its administrator, through a port-forward.

    Raises:
        DevError: the cluster has no credentials of the administrator, or the store cannot be reached.
    """
    with access.forward_port(kubectl) as address:
        yield access.connect(paths, kubectl, address)


def require_tools(paths: Paths) -> None:
    """Check that there are the registry's name, the programs, and a builder if images must be built.

    Raises:
        DevError: something is missing; the message lists all of it.
    """
    lacks, registry = list[str](), None
    try:
        registry = existing_images.read_registry()
    except DevError as error:
        lacks.append(str(error))
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        lacks.append(explain_programs(missing))
    # Without the registry's name it is not known which images were pushed.
    if registry is None or existing_images.find_unpushed(paths, registry):
        try:
            existing_images.find_builder()
        except DevError as error:
            lacks.append(str(error))
    if lacks:
        raise DevError("\n  - ".join(["Something is missing on this machine:", *lacks]) if lacks[1:] else lacks[0])


def explain_programs(missing: list[str]) -> str:
    """Return the sentence that names the missing programs."""
    return f"CLUSTER=existing needs {' and '.join(missing)} on the PATH: it installs nothing on this machine."


def find_helm() -> Path:
    """Return the helm of this machine.

    Raises:
        DevError: there is none.
    """
    found = shutil.which("helm")
    if found is None:
        raise DevError(explain_programs(["helm"]))
    return Path(found)


def explain_removal() -> str:
    """Return the commands that remove everything: we do not stop a cluster that we did not start."""
    namespaces = f"{chart.NAMESPACE} {endpoint.NAMESPACE} serving support"
    return "\n".join(
        [
            "`make down` does not stop an existing cluster. These commands remove Tunewright from it:",
            f"  kubectl delete {','.join(_NAMESPACED)} --all --all-namespaces",
            f"  kubectl delete {','.join(_CLUSTER_SCOPED)} --all",
            f"  helm uninstall {chart.RELEASE} --namespace {chart.NAMESPACE}",
            # The chart keeps them, so that an uninstall deletes no custom resource.
            "  kubectl delete crd "
            + " ".join(f"{plural}.tunewright.dev" for plural in (*_NAMESPACED, *_CLUSTER_SCOPED)),
            f"  kubectl delete namespace {namespaces}",
        ]
    )


def _link_programs(paths: Paths, programs: dict[str, Path]) -> None:
    """Link the programs in build/bin, where tests and users of this clone find them."""
    folder = paths.build / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in programs.items():
        link = folder / name
        if link.resolve() != program.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(program.resolve())
