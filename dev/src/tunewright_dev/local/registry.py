"""The image registry on loopback that buildah pushes to and containerd pulls from."""

from __future__ import annotations

import json
from pathlib import Path

from tunewright_dev import files, topology
from tunewright_dev.images import binaries
from tunewright_dev.local import components, probes
from tunewright_dev.paths import Paths

NAME = "registry"


def build_config(paths: Paths) -> str:
    """Return the registry's configuration (JSON is YAML)."""
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(paths.registry_root)},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        # No hashes of parts: pushes are from this machine, and the digest of the whole blob is checked anyway.
        "http": {"addr": topology.REGISTRY_ADDRESS},
    }
    return json.dumps(config, indent=2)


def describe(paths: Paths) -> components.Component:
    """Return the component, with its file written."""
    config: Path = paths.config / "registry.yaml"
    files.write(config, build_config(paths))
    program = binaries.ensure_program(paths, binaries.REGISTRY)
    return components.Component(
        name=NAME,
        argv=(str(program), "serve", str(config)),
        is_ready=lambda: probes.answers(f"http://{topology.REGISTRY_ADDRESS}/v2/"),
        files=(config,),
        environment={"OTEL_TRACES_EXPORTER": "none"},
    )
