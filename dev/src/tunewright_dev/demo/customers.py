"""The demo's customers: one pod that runs the example's client, and its pace."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tunewright_dev import pod_security
from tunewright_dev.demo import client_key
from tunewright_dev.kubectl import Kubectl

NAME = "customers"
SCRIPTS = ("client.py", "generate.py", "phrases.py", "traffic.py")
_FOLDER = "/client"


@dataclasses.dataclass(frozen=True)
class Pace:
    """The number of customers at a time, and the pause of each between two tickets."""

    customers: int
    think_seconds: float


QUIET = Pace(1, 6.0)
"""The pace while a job trains or an evaluation runs: a customer without pauses would take a core from them."""
END = Pace(-1, 0.0)
"""Ends the pod after its last answer."""


@dataclasses.dataclass(frozen=True)
class Customers:
    """The server and the model that they ask, the pod, and the first pace; ``image`` must contain Python."""

    namespace: str
    image: str
    url: str
    model: str
    pace: Pace
    max_tokens: int = 32
    name: str = NAME


def build_customers(wanted: Customers, example: Path) -> list[dict[str, Any]]:
    """Return the pod and the ConfigMap with its scripts, which are the example's."""
    metadata = {"name": wanted.name, "namespace": wanted.namespace, "labels": {"app.kubernetes.io/name": NAME}}
    # For `kubectl logs` and `kubectl exec`: a service mesh may add containers.
    annotations = {"kubectl.kubernetes.io/default-container": "client"}
    container = {
        "name": "client",
        "image": wanted.image,
        "command": [
            "python",
            f"{_FOLDER}/client.py",
            wanted.url,
            wanted.model,
            f"--max-tokens={wanted.max_tokens}",
            f"--think={wanted.pace.think_seconds}",
            f"--customers={wanted.pace.customers}",
        ],
        # These scripts import each other, but in this image Python does not search a script's own folder.
        "env": [
            {"name": "PYTHONPATH", "value": _FOLDER},
            {
                "name": client_key.VARIABLE,
                "valueFrom": {"secretKeyRef": {"name": client_key.SECRET, "key": client_key.VARIABLE}},
            },
        ],
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
            {"name": "scripts", "configMap": {"name": wanted.name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    scripts = {name: (example / name).read_text(encoding="utf-8") for name in SCRIPTS}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": scripts},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "annotations": annotations}, "spec": pod},
    ]


def set_pace(kubectl: Kubectl, namespace: str, pace: Pace) -> None:
    """Change the pace.

    Raises:
        DevError: the pod does not run.
    """
    kubectl.run(*build_pace_command(namespace, pace))


def build_pace_command(namespace: str, pace: Pace) -> list[str]:
    """Return the arguments for kubectl that change the pace."""
    change = [f"--think={pace.think_seconds}", f"--set-customers={pace.customers}"]
    return ["exec", "--namespace", namespace, NAME, "--", "python", f"{_FOLDER}/client.py", *change]
