"""The demo's customers: one pod that runs the example's client, and how many customers it has at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewright_dev import pod_security

if TYPE_CHECKING:
    from pathlib import Path

    from tunewright_dev.kubectl import Kubectl

NAME = "customers"
SCRIPTS = ("client.py", "generate.py", "phrases.py", "traffic.py")
END = -1
_FOLDER = "/client"


@dataclass(frozen=True)
class Customers:
    """Whom they ask, from where, and how many there are at first; ``image`` has a Python."""

    namespace: str
    image: str
    url: str
    model: str
    count: int


def build_customers(wanted: Customers, example: Path) -> list[dict[str, Any]]:
    """Return the pod and the ConfigMap with its scripts, which are the example's own."""
    metadata = {"name": NAME, "namespace": wanted.namespace, "labels": {"app.kubernetes.io/name": NAME}}
    container = {
        "name": "client",
        "image": wanted.image,
        "command": ["python", f"{_FOLDER}/client.py", wanted.url, wanted.model, f"--customers={wanted.count}"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": pod_security.build_restricted_context(),
        "volumeMounts": [
            {"name": "scripts", "mountPath": _FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [
            {"name": "scripts", "configMap": {"name": NAME}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    scripts = {name: (example / name).read_text(encoding="utf-8") for name in SCRIPTS}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": scripts},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
    ]


def set_count(kubectl: Kubectl, namespace: str, count: int) -> None:
    """Say how many customers there are from now on; `END` lets the pod end once its last answer came in.

    Raises:
        DevError: the pod does not run.
    """
    kubectl.run(*set_count_command(namespace, count))


def set_count_command(namespace: str, count: int) -> list[str]:
    """Return kubectl's arguments that change the number of customers."""
    script = f"{_FOLDER}/client.py"
    return ["exec", "--namespace", namespace, NAME, "--", "python", script, f"--set-customers={count}"]
