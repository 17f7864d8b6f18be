"""What is kept of a failed test: the resources' YAML and the pods' logs, in build/e2e/<test>/."""

from __future__ import annotations

import re
from pathlib import Path

from e2e.harness.kubectl import Kubectl

_KINDS = "basemodels,finetunejobs,modelservers,adapterdeployments,jobs,deployments,pods,configmaps,events"


def keep_evidence(kubectl: Kubectl, folder: Path, namespaces: list[str]) -> None:
    """Write what a person needs to understand a failure; never fails itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in namespaces:
        done = kubectl.run("get", _KINDS, "-n", namespace, "-o", "yaml", check=False)
        (folder / f"{namespace}.yaml").write_text(done.stdout + done.stderr)
        pods = kubectl.run("get", "pods", "-n", namespace, "-o", "name", check=False).stdout.split()
        for pod in pods:
            name = pod.removeprefix("pod/")
            logs = kubectl.run("logs", "-n", namespace, name, "--all-containers", "--tail=2000", check=False)
            (folder / f"{namespace}.{name}.log").write_text(logs.stdout + logs.stderr)
            previous = kubectl.run(
                "logs", "-n", namespace, name, "--all-containers", "--previous", "--tail=500", check=False
            )
            if previous.returncode == 0:
                (folder / f"{namespace}.{name}.previous.log").write_text(previous.stdout)


def folder_name(test: str) -> str:
    """Return a test's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", test)
