"""Set up everything that the story needs, and record how long that took on a bare machine."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tunewright_dev import chart, console, files
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.paths import Paths
from tunewright_dev.target import SHOW_CLUSTER, Target

_KEY = "coldSetupSeconds"


def set_up(target: Target) -> tuple[Kubectl, float | None]:
    """Set up cluster, images and chart; return a kubectl, and the seconds that this took on the bare machine.

    Raises:
        DevError: a part failed; the message names its log.
    """
    paths, bare, started = target.paths, target.is_bare(), time.monotonic()
    with console.step("the cluster", SHOW_CLUSTER):
        kubectl = target.up()
    target.ensure_images()
    chart.install(paths, kubectl, target.ensure_helm())
    if bare:
        files.write(_record(paths), json.dumps({_KEY: round(time.monotonic() - started, 1)}))
    return kubectl, read_cold_seconds(paths)


def read_cold_seconds(paths: Paths) -> float | None:
    """Return the seconds of the set-up when this machine was bare, or None if it was never measured completely."""
    record = _record(paths)
    return float(json.loads(record.read_text())[_KEY]) if record.is_file() else None


def _record(paths: Paths) -> Path:
    return paths.state / "cold-setup.json"
