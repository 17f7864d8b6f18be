"""The memory use of pods, as measured by the kubelet."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tunewright_dev.kubectl import Kubectl

_MIB = 2**20


def fetch_working_sets(kubectl: Kubectl, namespaces: Collection[str]) -> dict[str, int]:
    """Return the working set in MiB of each pod of some namespaces, from the summaries of the pods' nodes.

    Raises:
        DevError: a node's kubelet cannot be reached.
    """
    path = "jsonpath={range .items[*]}{.metadata.namespace} {.spec.nodeName}{'\\n'}{end}"
    rows = (row.split() for row in kubectl.run("get", "pods", "--all-namespaces", "-o", path).splitlines())
    nodes = sorted({row[1] for row in rows if len(row) == 2 and row[0] in namespaces})
    found: dict[str, int] = {}
    for node in nodes:
        summary = json.loads(kubectl.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        found |= read_working_sets(summary, namespaces)
    return found


def read_working_sets(summary: Mapping[str, Any], namespaces: Collection[str]) -> dict[str, int]:
    """Return the working sets in a kubelet's summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1), in MiB by pod.

    A pod that is starting or ending has no working set or an empty one, which does not count.
    """
    used = {
        pod["podRef"]["name"]: (pod.get("memory") or {}).get("workingSetBytes", 0) // _MIB
        for pod in summary.get("pods") or ()
        if pod["podRef"]["namespace"] in namespaces
    }
    return {name: size for name, size in used.items() if size > 0}
