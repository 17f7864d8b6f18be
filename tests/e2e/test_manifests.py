"""kubeconform on all manifests that users apply, against the schemas of this API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.harness.installation import ROOT, find_program
from e2e.harness.kubectl import Kubectl
from e2e.openapi_schemas import LOCATION, write_schemas

pytestmark = pytest.mark.e2e

EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*.yaml") if "kind:" in path.read_text())
Check = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def conforms(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Return a function that runs kubeconform on YAML text."""
    folder = tmp_path_factory.mktemp("schemas")
    write_schemas(json.loads(kubectl.run("get", "--raw", "/openapi/v2").stdout), folder)
    command = [find_program("kubeconform"), "-strict", "-summary", "-schema-location", str(folder / LOCATION), "-"]

    def run(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    return run


def test_chart_conforms(conforms: Check) -> None:
    values = ["images.registry=r/x", "networkPolicy.enabled=true", "operator.replicas=2"]
    sets = [argument for value in values for argument in ("--set", value)]
    command = [
        find_program("helm"),
        "template",
        "demo",
        str(ROOT / "charts" / "tunewright"),
        "--kube-version",
        "1.34.0",
    ]
    rendered = subprocess.run([*command, *sets], capture_output=True, text=True, check=True).stdout
    done = conforms(rendered)
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_example_conforms(conforms: Check, path: Path) -> None:
    done = conforms(path.read_text())
    assert done.returncode == 0, done.stdout


def test_unknown_field_is_found(conforms: Check) -> None:
    done = conforms("{apiVersion: tunewright.dev/v1alpha1, kind: ModelServer, metadata: {name: a}, spec: {replica: 2}}")
    assert done.returncode != 0
    assert "replica" in done.stdout
