"""Keep the evidence of a failed test in build/e2e/<test>/: the resources' YAML and the pods' logs."""

from __future__ import annotations

import re
from pathlib import Path

from e2e.harness.kubectl import Kubectl
from tunewright_dev import chart
from tunewright_dev.object_store import endpoint as object_store

_PREFIXES = ("team-", "serving-", "stranger-", "other-", "bad-jobs")
"""Prefixes of the namespaces that tests create."""
_PATIENCE = "--request-timeout=30s"
"""A time limit for each request, since the cluster may be the cause of the failure."""
_KINDS = "basemodels,finetunejobs,modelservers,adapterdeployments,modelclients,jobs,deployments,pods,configmaps,events"


def keep_evidence(kubectl: Kubectl, folder: Path) -> None:
    """Write the YAML and logs of the operator, the object store and the tests' namespaces.

    Raises:
        OSError: the folder cannot be written, or there is no kubectl. Errors of the cluster go into the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in (chart.NAMESPACE, object_store.NAMESPACE, *_list_test_namespaces(kubectl)):
        where = ("-n", namespace, _PATIENCE)
        done = kubectl.run("get", _KINDS, *where, "-o", "yaml", check=False)
        (folder / f"{namespace}.yaml").write_text(done.stdout + done.stderr)
        pods = kubectl.run("get", "pods", *where, "-o", "name", check=False).stdout.split()
        for pod in pods:
            name = pod.removeprefix("pod/")
            logs = kubectl.run("logs", *where, name, "--all-containers", "--tail=2000", check=False)
            (folder / f"{namespace}.{name}.log").write_text(logs.stdout + logs.stderr)
            previous = kubectl.run("logs", *where, name, "--all-containers", "--previous", "--tail=500", check=False)
            if previous.returncode == 0:
                (folder / f"{namespace}.{name}.previous.log").write_text(previous.stdout)


def folder_name(test: str) -> str:
    """Return a test's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", test)


def _list_test_namespaces(kubectl: Kubectl) -> list[str]:
    done = kubectl.run("get", "namespaces", _PATIENCE, "-o", "name", check=False)
    found = [line.removeprefix("namespace/") for line in done.stdout.split()]
    return [name for name in found if name.startswith(_PREFIXES)]
