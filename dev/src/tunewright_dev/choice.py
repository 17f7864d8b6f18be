"""Which cluster the commands work on: our own local one, or one that is there already (`CLUSTER=existing`)."""

from __future__ import annotations

import os
import re

from tunewright_dev.errors import DevError

_REGISTRY = re.compile(r"^[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$")


def is_existing() -> bool:
    """Tell whether `CLUSTER` asks for the cluster of the current kubeconfig context.

    Raises:
        DevError: it has another value.
    """
    value = os.environ.get("CLUSTER", "")
    if value not in {"", "local", "existing"}:
        raise DevError(f"CLUSTER is {value!r}. Leave it out for a local cluster, or set it to `existing`.")
    return value == "existing"


def read_registry() -> str:
    """Return where images are pushed and pulled: `REGISTRY`, as ``host/path``.

    Raises:
        DevError: it is not set, or not of that form.
    """
    value = os.environ.get("REGISTRY", "").rstrip("/")
    if not _REGISTRY.match(value):
        raise DevError(
            f"REGISTRY is {value!r}. With CLUSTER=existing it names where images go, as host/path (for example"
            " `REGISTRY=registry.example.com/tunewright`): this machine must be logged in to push there, and the nodes must be able to pull."
        )
    return value
