"""Every rule of the CRDs on the real API server: what it admits, what it refuses, and with which message.

The cases go through one `kubectl proxy`, because hundreds of kubectl processes would take minutes. kubectl prints the
server's message unchanged.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness.kubectl import Kubectl
from support.crds.cases import Case, merge, read_tables
from support.crds.schema import read_crds

pytestmark = pytest.mark.e2e

NAMESPACE = f"crd-cases-{uuid.uuid4().hex[:8]}"
"""New in each run, because the previous run's namespace may still be terminating."""
TABLES = read_tables()
CASES = [case for table in TABLES.values() for case in table.cases]
GOOD_CASES = [case for case in CASES if case.good is not None]
DRY_RUN = "dryRun=All&fieldValidation=Strict"


class Server:
    """The API server over HTTP, as the administrator."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def submit(self, case: Case, patch: dict[str, Any]) -> tuple[bool, str]:
        """Send a case's patch as a dry run; return whether it was admitted, and the message."""
        base = TABLES[case.kind].base
        path = collection(case.kind)
        if case.update == "create":
            manifest = merge(merge(base, {"metadata": {"name": "crd-cases-new"}}), patch)
            return self._send("POST", path, manifest, "application/json")
        path += f"/{base['metadata']['name']}" + ("/status" if case.update == "status" else "")
        return self._send("PATCH", path, patch, "application/merge-patch+json")

    def _send(self, method: str, path: str, body: dict[str, Any], content_type: str) -> tuple[bool, str]:
        self._connection.request(method, f"{path}?{DRY_RUN}", json.dumps(body), {"Content-Type": content_type})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        return response.status < 300, str(answer.get("message", ""))


def collection(kind: str) -> str:
    """Return the path of a kind's objects, in the test's namespace if the kind is namespaced."""
    spec = read_crds()[kind]["spec"]
    scope = f"/namespaces/{NAMESPACE}" if spec["scope"] == "Namespaced" else ""
    return f"/apis/{spec['group']}/v1alpha1{scope}/{spec['names']['plural']}"


@pytest.fixture(scope="module")
def existing(kubectl: Kubectl) -> Iterator[None]:
    """Create each table's base object for the updates. It starts nothing, because its Secret does not exist."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        for table in TABLES.values():
            kubectl.apply(table.base, namespace=NAMESPACE)
        yield
    finally:
        for table in TABLES.values():
            kubectl.delete(table.kind, table.base["metadata"]["name"], NAMESPACE)
        kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def server(kubectl: Kubectl, existing: None) -> Iterator[Server]:
    """Open a proxy to the API server."""
    proxy = kubectl.start("proxy", "--port=0", stdout=subprocess.PIPE)
    try:
        assert proxy.stdout is not None
        found = re.search(r":(\d+)$", proxy.stdout.readline().strip())
        assert found, "kubectl proxy printed no port"
        yield Server(int(found[1]))
    finally:
        proxy.terminate()
        proxy.communicate()


@pytest.mark.parametrize("case", GOOD_CASES, ids=str)
def test_good_manifest_is_admitted(server: Server, case: Case) -> None:
    assert case.good is not None
    admitted, message = server.submit(case, case.good)
    assert admitted, message


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_manifest_is_refused_with_the_message(server: Server, case: Case) -> None:
    admitted, message = server.submit(case, case.bad)
    assert not admitted, "the API server admitted it"
    fault = "Unsupported value" if case.rule == "enum" else "Invalid value"
    assert f"{case.field}: {fault}" in message or not case.field
    assert case.says in message


def test_kubectl_shows_the_message(kubectl: Kubectl, existing: None) -> None:
    """kubectl shows its user the server's message."""
    bad = merge(TABLES["ModelServer"].base, {"spec": {"updateStrategy": {"maxUnavailable": 0}}})
    done = kubectl.run("apply", "-n", NAMESPACE, "--dry-run=server", "-f", "-", stdin=json.dumps(bad), check=False)
    assert done.returncode != 0
    assert "spec.updateStrategy: Invalid value" in done.stderr
    assert "maxSurge and maxUnavailable cannot both be 0, since no pod could ever be replaced; raise one" in done.stderr
