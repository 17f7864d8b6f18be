"""Run helm for the tests of the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "tunewright"
KUBE_VERSION = "1.34.0"

Body = dict[str, Any]
Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Render = Callable[..., list[Body]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Return a function that runs helm; the program is $HELM, the one in build/bin, or the one on PATH."""
    own = ROOT / "build" / "bin" / "helm"
    program = os.environ.get("HELM") or (str(own) if own.exists() else shutil.which("helm"))
    assert program, "no helm: run `make install`, which builds it, or set HELM"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """Return a function that renders the chart with ``--set`` values to objects."""

    def run(*values: str, registry: str = "registry.example.com/tunewright") -> list[Body]:
        sets = [argument for value in (f"images.registry={registry}", *values) for argument in ("--set", value)]
        done = helm("template", "demo", str(CHART), "-n", "tunewright-system", "--kube-version", KUBE_VERSION, *sets)
        assert done.returncode == 0, done.stderr
        return [body for body in yaml.safe_load_all(done.stdout) if body]

    return run
