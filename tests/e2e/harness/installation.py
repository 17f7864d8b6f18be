"""The installed release: helm in the operator's namespace, and the release's values."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

from tunewright_dev import chart

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "tunewright"


def find_program(name: str) -> str:
    """Return a program from an environment variable, from build/bin, or from PATH."""
    own = ROOT / "build" / "bin" / name
    program = os.environ.get(name.upper()) or (str(own) if own.exists() else shutil.which(name))
    assert program, f"no {name}: run `make install`, which builds it, or set {name.upper()}"
    return program


class Helm:
    """Runs helm in the operator's namespace."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [find_program("helm"), "--kubeconfig", str(kubeconfig), "-n", chart.NAMESPACE]

    def __call__(self, *arguments: str) -> str:
        """Run helm and return its output."""
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done.stdout


@dataclasses.dataclass(frozen=True)
class Release:
    """The release as it was installed; ``values`` is a file with its values."""

    helm: Helm
    name: str
    values: Path

    def upgrade(self, *values: str) -> None:
        """Upgrade to the chart of this clone with the release's values and further ones, and wait for its pods."""
        sets = [argument for value in values for argument in ("--set", value)]
        self.helm(
            "upgrade", "--install", self.name, str(CHART), "-f", str(self.values), *sets, "--wait", "--timeout", "5m"
        )


def read_release(helm: Helm, folder: Path) -> Release:
    """Return the installed release; its values are saved in a folder."""
    (found,) = json.loads(helm("list", "-o", "json", "--filter", "^tunewright"))
    values = folder / "values.json"
    values.write_text(helm("get", "values", found["name"], "-o", "json"))
    return Release(helm, found["name"], values)
