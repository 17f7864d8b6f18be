"""Tests reach the cluster through kubectl only, as users do."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Body = dict[str, Any]


class KubectlError(AssertionError):
    """kubectl failed; the message is the one that a user would see."""


class Kubectl:
    """Runs kubectl against one kubeconfig."""

    def __init__(self, program: str, kubeconfig: Path) -> None:
        self._command = [program, "--kubeconfig", str(kubeconfig)]

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl; with ``check`` a failure raises `KubectlError`."""
        # A pod's log can contain invalid UTF-8.
        done = subprocess.run(
            [*self._command, *arguments], input=stdin, capture_output=True, text=True, errors="replace", check=False
        )
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start kubectl in the background (port-forward, logs -f); the caller ends it."""
        return subprocess.Popen([*self._command, *arguments], text=True, **options)

    def apply(self, *bodies: Body, namespace: str | None = None) -> None:
        """Apply objects."""
        where = ["-n", namespace] if namespace else []
        self.run(
            "apply", *where, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)})
        )

    def get(self, kind: str, name: str, namespace: str | None = None) -> Body | None:
        """Return an object, or None when it is not there."""
        where = ["-n", namespace] if namespace else []
        done = self.run("get", kind, name, *where, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Body]:
        """Return all objects of a kind in a namespace (None: in all) that match a label selector."""
        where = ["-n", namespace] if namespace else ["-A"]
        done = self.run("get", kind, *where, "-l", selector, "-o", "json")
        return list(json.loads(done.stdout)["items"])

    def patch(self, kind: str, name: str, namespace: str | None, patch: Body) -> None:
        """Merge-patch an object."""
        where = ["-n", namespace] if namespace else []
        self.run("patch", kind, name, *where, "--type=merge", "-p", json.dumps(patch))

    def annotate(self, kind: str, name: str, namespace: str, annotation: str) -> None:
        """Set an annotation ``key=value``, replacing an old one."""
        self.run("annotate", kind, name, "-n", namespace, annotation, "--overwrite")

    def delete(self, kind: str, name: str, namespace: str | None = None, *options: str) -> None:
        """Delete an object and wait until it is gone, unless options say otherwise."""
        where = ["-n", namespace] if namespace else []
        self.run("delete", kind, name, *where, "--ignore-not-found", "--timeout=180s", *options)

    def wait_for(
        self, kind: str, name: str, namespace: str | None, holds: Callable[[Body], bool], *, timeout: float = 300
    ) -> Body:
        """Poll an object until ``holds`` accepts it and return it; a timeout shows its last status."""
        last: Body | None = None

        def check() -> bool:
            nonlocal last
            last = self.get(kind, name, namespace)
            return last is not None and holds(last)

        wait_until(
            check,
            timeout=timeout,
            describe=lambda: f"{kind} {namespace}/{name}: {json.dumps((last or {}).get('status'), indent=1)}",
        )
        assert last is not None
        return last


def wait_until(
    holds: Callable[[], bool], *, timeout: float, describe: Callable[[], str] = lambda: "", poll: float = 0.5
) -> None:
    """Poll until ``holds`` is true; a timeout fails the test with a description."""
    deadline = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come within {timeout:.0f} s: {describe()}")
        time.sleep(poll)


def condition(body: Body, condition_type: str) -> Body:
    """Return a condition of an object, or an empty dict."""
    for item in body.get("status", {}).get("conditions", ()):
        if item["type"] == condition_type:
            return dict(item)
    return {}


def is_true(body: Body, condition_type: str) -> bool:
    """Return whether a condition is True for the object's current generation."""
    found = condition(body, condition_type)
    return found.get("status") == "True" and found.get("observedGeneration") == body["metadata"]["generation"]


def is_false(body: Body, condition_type: str) -> bool:
    """Return whether a condition is False for the object's current generation."""
    found = condition(body, condition_type)
    return found.get("status") == "False" and found.get("observedGeneration") == body["metadata"]["generation"]


def names(bodies: Iterable[Body]) -> list[str]:
    """Return the names of objects, sorted."""
    return sorted(str(body["metadata"]["name"]) for body in bodies)


def unwrap(text: str) -> str:
    """Return a text with each run of white space replaced by one space."""
    return " ".join(text.split())
