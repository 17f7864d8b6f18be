"""A cluster that is there already: the context that kubectl uses now. Nothing is installed on this machine.

What `make up` does to it: a namespace with an object store, on a volume of the default class and behind a private
authority, as in the local cluster.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright_dev import choice, commands, console, existing_images, files, installation, objectstore
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl

if TYPE_CHECKING:
    from tunewright_dev.paths import Paths

_PROGRAMS = ("kubectl", "helm")


def connect(paths: Paths) -> Kubectl:
    """Return a kubectl for the current context, copied, so that a later change of context changes nothing here.

    Raises:
        DevError: a program is missing, or no cluster answers.
    """
    programs = {name: shutil.which(name) for name in _PROGRAMS}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise DevError(f"CLUSTER=existing needs {' and '.join(missing)} on the PATH, and installs nothing by itself.")
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
        DevError: no registry is named, an image could not be pushed, or the store did not become ready.
    """
    registry = choice.read_registry()
    kubectl = connect(paths)
    server = kubectl.run("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    console.say(f"  using the cluster at {server} and the registry {registry}")
    names = existing_images.ensure_images(paths, registry, cluster_only=True)
    with console.step("the object store"):
        objectstore.deploy_anywhere(paths, kubectl, names["seaweedfs"])
        objectstore.wait_ready(paths, kubectl)
    return kubectl


def find_helm() -> Path:
    """Return the machine's own helm.

    Raises:
        DevError: there is none.
    """
    found = shutil.which("helm")
    if found is None:
        raise DevError("CLUSTER=existing needs helm on the PATH, and installs nothing by itself.")
    return Path(found)


def explain_removal() -> str:
    """Return what takes everything away again: a cluster that is not ours is not taken down by us."""
    namespaces = f"{installation.NAMESPACE} {objectstore.NAMESPACE} serving support"
    return "\n".join(
        [
            "The cluster is not ours to take down. What Tunewright brought into it goes by:",
            "  kubectl delete finetunejobs,adapterdeployments,modelservers --all --all-namespaces",
            "  kubectl delete basemodels --all",
            f"  helm uninstall {installation.RELEASE} --namespace {installation.NAMESPACE}",
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
