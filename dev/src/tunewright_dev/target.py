"""Where the commands work: each does the same on the local cluster and on an existing one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunewright_dev import choice
from tunewright_dev.existing import cluster as existing_cluster
from tunewright_dev.existing import images as existing_images
from tunewright_dev.images import binaries
from tunewright_dev.images import build as images
from tunewright_dev.local import cluster

if TYPE_CHECKING:
    from pathlib import Path

    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.paths import Paths

SHOW_CLUSTER = "kubectl get nodes,pods --all-namespaces"
"""The command that shows what `up` brought up."""


def up(paths: Paths) -> Kubectl:
    """Bring up what is missing: the local cluster, or the object store in an existing one."""
    return existing_cluster.up(paths) if paths.existing else cluster.up(paths)


def connect(paths: Paths) -> Kubectl:
    """Return a kubectl for the running cluster."""
    return existing_cluster.connect(paths) if paths.existing else cluster.connect(paths)


def ensure_images(paths: Paths) -> None:
    """Build and push the images that changed, and write build/images.json."""
    if paths.existing:
        existing_images.ensure_images(paths, choice.read_registry())
    else:
        images.ensure_images(paths)


def find_helm(paths: Paths) -> Path:
    """Return a helm."""
    return existing_cluster.find_helm() if paths.existing else binaries.ensure_program(paths, binaries.HELM)
