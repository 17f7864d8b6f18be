"""Use a cluster with kubectl, as its administrator."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright_dev import commands

_MANAGER = "tunewright-dev"


@dataclasses.dataclass(frozen=True)
class Kubectl:
    """A kubectl with a kubeconfig."""

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints.

        Raises:
            DevError: it failed.
        """
        return commands.capture([self.program, f"--kubeconfig={self.kubeconfig}", *arguments], stdin=stdin)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl in the background (a watch, a port-forward) with piped standard output; the caller stops it."""
        return subprocess.Popen(
            [str(self.program), f"--kubeconfig={self.kubeconfig}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Ctrl-C must not stop it together with this program: the caller stops it in order.
            start_new_session=True,
        )

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Apply objects server-side, as the field manager of this program."""
        bundle = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={_MANAGER}",
            "-f",
            "-",
            stdin=json.dumps(bundle),
        )

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return one object, or None if there is none of this name."""
        scope = [f"--namespace={namespace}"] if namespace else []
        text = self.run("get", kind, name, *scope, "--ignore-not-found", "-o", "json")
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def list(self, kind: str, namespace: str, *, selector: str) -> Sequence[dict[str, Any]]:
        """Return the objects of a namespace that match a label selector."""
        text = self.run("get", kind, f"--namespace={namespace}", f"--selector={selector}", "-o", "json")
        items: Sequence[dict[str, Any]] = json.loads(text)["items"]
        return items
