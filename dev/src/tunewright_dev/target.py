"""The cluster that the commands work on: the local or an existing one. Every command does the same on both."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar, Protocol

from mypy_boto3_s3 import S3Client

from tunewright_dev.existing import cluster as existing_cluster
from tunewright_dev.existing import images as existing_images
from tunewright_dev.images import binaries, build
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.local import cluster as local_cluster
from tunewright_dev.object_store import access
from tunewright_dev.paths import Paths, find_paths, is_existing

SHOW_CLUSTER = "kubectl get nodes,pods --all-namespaces"
"""The command that shows what `up` has started."""


@dataclasses.dataclass(frozen=True)
class Status:
    """What runs, one line each, and whether everything runs."""

    text: str
    is_whole: bool


class Target(Protocol):
    """A cluster that the commands work on."""

    title: ClassVar[str]
    """The first line that `up` prints."""

    @property
    def paths(self) -> Paths:
        """The folders of its files."""

    def up(self) -> Kubectl:
        """Start what is missing and return a kubectl.

        Raises:
            DevError: something is missing on this machine, or did not become ready.
        """

    def down(self) -> str:
        """Stop the cluster if we started it; return what was done, or the commands that remove our objects."""

    def connect(self) -> Kubectl:
        """Return a kubectl for the running cluster.

        Raises:
            DevError: the cluster does not run.
        """

    def read_status(self) -> Status:
        """Return what runs."""

    def ensure_images(self) -> None:
        """Build and push the images that changed, and write build/images.json.

        Raises:
            DevError: there is no registry, or a build or a push failed.
        """

    def ensure_helm(self) -> Path:
        """Return a helm.

        Raises:
            DevError: there is none.
        """

    def open_store(self, kubectl: Kubectl) -> AbstractContextManager[S3Client]:
        """Return a context with a client of the object store, as its administrator."""

    def format_environment(self) -> str:
        """Return the shell command with which a user's kubectl and helm use this cluster."""

    def explain_deaths(self) -> str:
        """Return the message about parts of the cluster that died, which explains most failures; empty if none did."""

    def is_bare(self) -> bool:
        """Return whether nothing was ever built for it, so that the duration of its set-up is that of a cold start."""


@dataclasses.dataclass(frozen=True)
class LocalTarget:
    """The local cluster on this machine."""

    paths: Paths
    title: ClassVar[str] = "Starting the local cluster"

    def up(self) -> Kubectl:
        """Build what is missing and start the cluster."""
        return local_cluster.up(self.paths)

    def down(self) -> str:
        """Stop the cluster and all of its processes."""
        local_cluster.down(self.paths)
        return "The local cluster is removed."

    def connect(self) -> Kubectl:
        """Return a kubectl for the running cluster, from any clone."""
        return local_cluster.connect(self.paths)

    def read_status(self) -> Status:
        """Return the components with their logs."""
        found = local_cluster.read_status(self.paths)
        states = [f"running, pid {one.pid}" if one.pid else "NOT RUNNING" for one in found]
        lines = [f"{one.name:<24} {state:<20} {one.log}" for one, state in zip(found, states, strict=True)]
        return Status("\n".join(lines), all(one.pid for one in found))

    def ensure_images(self) -> None:
        """Push to the cluster's registry, which must run; helm is built meanwhile."""
        self.connect()
        # Some images contain a program of the cluster.
        binaries.ensure_programs(self.paths, binaries.CLUSTER)
        with binaries.building(self.paths, binaries.TOOLS):
            build.ensure_images(self.paths)
        self.ensure_helm()

    def ensure_helm(self) -> Path:
        """Return the pinned helm; build it and the other tools if needed."""
        tools = binaries.ensure_programs(self.paths, binaries.TOOLS)
        binaries.link_programs(self.paths, tools)
        return tools["helm"]

    def open_store(self, kubectl: Kubectl) -> AbstractContextManager[S3Client]:
        """Connect to the store's Service directly, because this machine is the node."""
        return nullcontext(access.connect(self.paths, kubectl, access.service_address()))

    def format_environment(self) -> str:
        """Return the command that sets the kubeconfig and the folder of the built programs."""
        return f"export KUBECONFIG={self.paths.kubeconfig} PATH={self.paths.build / 'bin'}:$PATH"

    def explain_deaths(self) -> str:
        """Return the components that died, with their logs."""
        return local_cluster.read_deaths(self.paths)

    def is_bare(self) -> bool:
        """Return whether no program and no image was ever built here."""
        return not self.paths.binaries.exists() and not self.paths.buildah_root.exists()


@dataclasses.dataclass(frozen=True)
class ExistingTarget:
    """The cluster of the current kubeconfig context; nothing is installed on this machine."""

    paths: Paths
    title: ClassVar[str] = "Preparing the existing cluster"

    def up(self) -> Kubectl:
        """Install the object store in the cluster."""
        return existing_cluster.up(self.paths)

    def down(self) -> str:
        """Return the commands that remove Tunewright from it."""
        return existing_cluster.explain_removal()

    def connect(self) -> Kubectl:
        """Return a kubectl for the current context."""
        return existing_cluster.connect(self.paths)

    def read_status(self) -> Status:
        """Return what kubectl shows."""
        return Status(self.connect().run("get", "nodes,pods", "--all-namespaces"), is_whole=True)

    def ensure_images(self) -> None:
        """Push to the registry that `REGISTRY` names."""
        existing_images.ensure_images(self.paths, existing_images.read_registry())

    def ensure_helm(self) -> Path:
        """Return the helm of this machine."""
        return existing_cluster.find_helm()

    def open_store(self, kubectl: Kubectl) -> AbstractContextManager[S3Client]:
        """Connect to the store with a port-forward."""
        return existing_cluster.open_store(self.paths, kubectl)

    def format_environment(self) -> str:
        """Return the command that sets the kubeconfig; kubectl and helm are already on the PATH."""
        return f"export KUBECONFIG={self.paths.kubeconfig}"

    def explain_deaths(self) -> str:
        """Return an empty text, because we do not watch the components of this cluster."""
        return ""

    def is_bare(self) -> bool:
        """Return False, because we did not set up this cluster."""
        return False


def find_target() -> Target:
    """Return the cluster that `CLUSTER` selects.

    Raises:
        DevError: `CLUSTER` has an unknown value.
    """
    paths = find_paths()
    return ExistingTarget(paths) if is_existing() else LocalTarget(paths)
