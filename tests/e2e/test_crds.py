"""Every rule of the CRDs against the real API server: what it admits, what it refuses, and what a user then reads."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from crd_cases import Case, Table, merge, read_tables
from e2e.harness.kubectl import Kubectl

pytestmark = pytest.mark.e2e

NAMESPACE = f"crd-cases-{uuid.uuid4().hex[:8]}"
"""New in each run: the last one's may still be terminating."""
TABLES = read_tables()
CASES = [case for table in TABLES.values() for case in table.cases]
GOOD_CASES = [case for case in CASES if case.good is not None]


@pytest.fixture(scope="module")
def existing(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Create each table's base object, which the updates change; nothing reconciles it, being suspended or unresolvable."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for table in TABLES.values():
        kubectl.apply(table.base, namespace=NAMESPACE)
    yield kubectl
    for table in TABLES.values():
        kubectl.delete(table.kind, table.base["metadata"]["name"], NAMESPACE)
    kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")


def submit(kubectl: Kubectl, case: Case, patch: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Do what the case says with a patch, as a dry run by the server."""
    table: Table = TABLES[case.kind]
    if case.update == "create":
        manifest = json.dumps(merge(merge(table.base, {"metadata": {"name": "crd-cases-new"}}), patch))
        return kubectl.run("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", stdin=manifest, check=False)
    subresource = ["--subresource=status"] if case.update == "status" else []
    target = [case.kind, table.base["metadata"]["name"], "-n", NAMESPACE, "--type=merge", "--dry-run=server"]
    return kubectl.run("patch", *target, *subresource, "-p", json.dumps(patch), check=False)


@pytest.mark.parametrize("case", GOOD_CASES, ids=str)
def test_good_manifest_is_admitted(existing: Kubectl, case: Case) -> None:
    assert case.good is not None
    done = submit(existing, case, case.good)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_manifest_is_refused_with_the_message(existing: Kubectl, case: Case) -> None:
    done = submit(existing, case, case.bad)
    assert done.returncode != 0, "the API server admitted it"
    assert (
        f"{case.field}: {'Unsupported value' if case.rule == 'enum' else 'Invalid value'}" in done.stderr
        or not case.field
    )
    assert case.says in done.stderr
