"""A cluster that is there already: the context that kubectl uses now. Nothing is installed on this machine.

What `make up` does to it: a namespace with an object store, on a volume of the default class and behind a private
authority, as in the local cluster.
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
# Of the namespaces, and of the cluster; in the order in which they can go.
_NAMESPACED, _CLUSTER_SCOPED = ("finetunejobs", "adapterdeployments", "modelservers"), ("basemodels",)


def connect(paths: Paths) -> Kubectl:
    """Return a kubectl for the current context, copied, so that a later change of context changes nothing here.

    Raises:
        DevError: a program is missing, or no cluster answers.
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
    """Bring the object store into the cluster and wait for it.

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
        DevError: the store has no administrator's credentials, or cannot be reached.
    """
    with access.forward_port(kubectl) as address:
        yield access.connect(paths, kubectl, address)


def require_tools(paths: Paths) -> None:
    """Refuse to begin without the registry's name, the programs, or a builder where images are to be built.

    Raises:
        DevError: with everything that is missing.
    """
    lacks, registry = list[str](), None
    try:
        registry = existing_images.read_registry()
    except DevError as error:
        lacks.append(str(error))
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        lacks.append(explain_programs(missing))
    # Under which names images were pushed is known with the registry only.
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
    """Return the machine's own helm.

    Raises:
        DevError: there is none.
    """
    found = shutil.which("helm")
    if found is None:
        raise DevError(explain_programs(["helm"]))
    return Path(found)


def explain_removal() -> str:
    """Return what takes everything away again: a cluster that is not ours is not taken down by us."""
    namespaces = f"{chart.NAMESPACE} {endpoint.NAMESPACE} serving support"
    return "\n".join(
        [
            "The cluster is not ours to take down. What Tunewright brought into it goes by:",
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
    """Put the programs where tests and people of this clone look for them."""
    folder = paths.build / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in programs.items():
        link = folder / name
        if link.resolve() != program.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(program.resolve())
