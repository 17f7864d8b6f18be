"""The manifests that the demo applies: the example's files, or copies with the sizes for this machine."""

from __future__ import annotations

import copy
import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml

from tunewright_dev import files
from tunewright_dev.demo.timing.sizes import Sizes
from tunewright_dev.kubernetes_yaml import format_yaml

Body = dict[str, Any]

IDLE_CORES = 0.01
"""The CPU request of a limited replica; without a request, its limit would be the request."""


@dataclasses.dataclass(frozen=True)
class Manifests:
    """The manifests of an example.

    ``copies`` is the folder for changed manifests. ``cores`` limits the pods that train and serve; None keeps the
    example's resources.
    """

    clone: Path
    example: Path
    copies: Path
    cores: float | None = None

    def render(self, name: str, sizes: Sizes | None = None) -> str:
        """Return the path to apply for a manifest of the example, relative to the clone.

        If nothing must be changed, it is the example's file, which users can read.
        """
        original = self.example / name
        body = read(original)
        changed = self._change(body, sizes)
        path = original
        if changed != body:
            path = self.copies / original.name
            files.write(path, format_yaml(changed))
        return os.path.relpath(path, self.clone)

    def _change(self, body: Body, sizes: Sizes | None) -> Body:
        match body["kind"]:
            case "AdapterDeployment" if sizes is not None:
                return size_deployment(body, sizes)
            case "ModelServer" if self.cores is not None:
                return limit_server(body, self.cores)
            case "FineTuneJob" if self.cores is not None:
                return limit_job(body, self.cores)
        return body


def read(path: Path) -> Body:
    """Return the object of a manifest."""
    body: Body = yaml.safe_load(path.read_text(encoding="utf-8"))
    return body


def size_deployment(deployment: Body, sizes: Sizes) -> Body:
    """Return an AdapterDeployment whose observe steps and bake have the sizes."""
    changed = copy.deepcopy(deployment)
    rollout = changed["spec"]["rollout"]
    for step in rollout["steps"]:
        if "observe" in step:
            step["observe"] = {"minRequests": sizes.min_requests, "maxSeconds": sizes.max_seconds}
    rollout["bakeSeconds"] = sizes.bake_seconds
    return changed


def limit_server(server: Body, cores: float) -> Body:
    """Return a ModelServer whose replicas share ``cores``."""
    return _limit(server, cores / server["spec"]["replicas"], IDLE_CORES)


def limit_job(job: Body, cores: float) -> Body:
    """Return a FineTuneJob whose pods get at most ``cores``."""
    requested = float(job["spec"]["resources"].get("requests", {}).get("cpu", cores))
    return _limit(job, cores, min(cores, requested))


def _limit(body: Body, cores: float, requested: float) -> Body:
    changed = copy.deepcopy(body)
    resources = changed["spec"].setdefault("resources", {})
    resources.setdefault("limits", {})["cpu"] = format_cores(cores)
    resources.setdefault("requests", {})["cpu"] = format_cores(requested)
    return changed


def format_cores(cores: float) -> str:
    """Return a quantity of CPU in Kubernetes' format."""
    return f"{round(cores * 1000)}m"


def parse_cores(quantity: str) -> float:
    """Return the cores of a quantity such as ``2`` or ``1500m``."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
