"""Bring everything up that the story plays on, and remember how long that took on a bare machine."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tunewright_dev import chart, console, files, target

if TYPE_CHECKING:
    from pathlib import Path

    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.paths import Paths

_KEY = "coldSetupSeconds"


def set_up(paths: Paths) -> tuple[Kubectl, float | None]:
    """Bring up cluster, images and chart; return a kubectl, and the seconds that this took when the machine was bare.

    Raises:
        DevError: a part failed; the message names its log.
    """
    bare, started = is_bare(paths), time.monotonic()
    with console.step("the cluster", target.SHOW_CLUSTER):
        kubectl = target.up(paths)
    target.ensure_images(paths)
    chart.install(paths, kubectl, target.find_helm(paths))
    if bare:
        files.write(_record(paths), json.dumps({_KEY: round(time.monotonic() - started, 1)}))
    return kubectl, read_cold_seconds(paths)


def is_bare(paths: Paths) -> bool:
    """Tell whether nothing was ever built here: what an interrupted run left would make a cold time look short."""
    return not paths.existing and not paths.binaries.exists() and not paths.buildah_root.exists()


def read_cold_seconds(paths: Paths) -> float | None:
    """Return what setting up took when this machine was bare, None when that was not seen whole."""
    record = _record(paths)
    return float(json.loads(record.read_text())[_KEY]) if record.is_file() else None


def _record(paths: Paths) -> Path:
    return paths.state / "cold-setup.json"
