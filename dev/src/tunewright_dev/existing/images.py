"""Build the images with the machine's docker or buildah, and push them to any registry.

The table, the Containerfiles and the content tags are those of the local cluster. But the first layer is the public
Python image on Debian 12, which needs no root and no debootstrap, and images for the local cluster only are left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewright_dev import commands, console, files, hashing
from tunewright_dev.errors import DevError
from tunewright_dev.images import registry_access, table
from tunewright_dev.images.table import Image
from tunewright_dev.paths import Paths

BASE, BASE_IMAGE = "base", "docker.io/library/python:3.11-slim-bookworm"
LOCAL_ONLY = frozenset({"pause", "coredns", BASE})
# The pinned wheels are for this platform, independent of the machine that builds.
PLATFORM = "linux/amd64"
BUILDERS = ("docker", "buildah")
_REGISTRY = re.compile(r"^[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$")


def read_registry() -> str:
    """Return the registry for pushes and pulls: `REGISTRY`, as ``host/path``.

    Raises:
        DevError: it is not set, or does not have this form.
    """
    value = os.environ.get("REGISTRY", "").rstrip("/")
    if not _REGISTRY.match(value):
        raise DevError(
            f"REGISTRY is {value!r}. With CLUSTER=existing set it to the registry for images, as host/path (for example"
            " `REGISTRY=registry.example.com/tunewright`). "
            "This machine must be logged in to push there, and the nodes must be able to pull."
        )
    return value


def ensure_images(paths: Paths, registry: str, *, cluster_only: bool = False) -> dict[str, str]:
    """Build and push the images that this clone has not pushed there; return all names, also in build/images.json.

    Raises:
        DevError: there is no builder, or a build or a push failed; the message names its log.
    """
    images = table.read_table(paths.clone)
    wanted = [image for image in images if image.name not in LOCAL_ONLY and (image.cluster or not cluster_only)]
    names = name_images(paths, images, registry)
    record = _record(paths)
    pushed = _read_pushed(paths)
    bases = {image.base for image in images}
    if any(image.name not in bases and names[image.name] not in pushed for image in wanted):
        builder = find_builder()
        for image in wanted:
            if names[image.name] in pushed:
                continue
            _build(paths, builder, image, names)
            if image.name not in bases:
                _push(paths, builder, image.name, names[image.name])
                pushed.add(names[image.name])
                files.write(record, json.dumps(sorted(pushed), indent=2))
    if not cluster_only:
        listed = {image.name: names[image.name] for image in wanted}
        files.write(paths.build / "images.json", json.dumps(listed, indent=2) + "\n")
    return names


def find_unpushed(paths: Paths, registry: str) -> list[str]:
    """Return the names of the images that this clone still has to build and push."""
    images = table.read_table(paths.clone)
    names, pushed = name_images(paths, images, registry), _read_pushed(paths)
    skipped = LOCAL_ONLY | {image.base for image in images}
    return [image.name for image in images if image.name not in skipped and names[image.name] not in pushed]


def _record(paths: Paths) -> Path:
    return paths.state / "pushed.json"


def _read_pushed(paths: Paths) -> set[str]:
    record = _record(paths)
    return set(json.loads(record.read_text())) if record.is_file() else set()


def name_images(paths: Paths, images: Sequence[Image], registry: str) -> dict[str, str]:
    """Return the name of each image in the registry; the tag is a hash of its content and its base."""
    names = {BASE: BASE_IMAGE}
    for name, reference in table.name_images(paths, images).items():
        if name != BASE:
            tag = hashing.hash_inputs({"content": reference.tag, "base": BASE_IMAGE, "platform": PLATFORM}, [])
            names[name] = f"{registry}/{name}:{tag}"
    return names


def find_builder() -> str:
    """Return the program that builds and pushes.

    Raises:
        DevError: this machine has none.
    """
    found = next((name for name in BUILDERS if _works(name)), None)
    if found is None:
        raise DevError(
            f"CLUSTER=existing needs a working {' or '.join(BUILDERS)}: "
            "it installs nothing on this machine. See `docker info`."
        )
    return found


def _works(builder: str) -> bool:
    """Return whether a builder works; docker needs its daemon."""
    if shutil.which(builder) is None:
        return False
    return subprocess.run([builder, "info"], capture_output=True, check=False).returncode == 0


def build_command(
    builder: str, image: Image, names: Mapping[str, str], labels: Mapping[str, str], context: Path
) -> list[str]:
    """Return the command that builds an image from a context, without the settings for a machine behind a proxy."""
    command = [builder, "build", f"--platform={PLATFORM}", "--file", str(context / image.containerfile)]
    command += ["--tag", names[image.name]]
    arguments = dict(image.arguments) | ({"BASE_IMAGE": names[image.base]} if image.base is not None else {})
    for key, value in labels.items():
        command += ["--label", f"{key}={value}"]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    return command


def _build(paths: Paths, builder: str, image: Image, names: Mapping[str, str]) -> None:
    scratch = paths.state / "contexts" / image.name
    shutil.rmtree(scratch, ignore_errors=True)
    context = scratch / "context"
    table.stage_context(paths, image, context)
    command = build_command(builder, image, names, table.build_labels(paths, image), context)
    if builder == "buildah":
        # docker has no mounts for a build, but its daemon uses the machine's proxy.
        command.append("--layers")
        for mount in registry_access.build_mounts(scratch / "access") if image.base is not None else ():
            command += ["--volume", mount]
    with console.step(f"building the image {image.name} with {builder}"):
        commands.run_logged([*command, str(context)], _log(paths, image.name, "build"))
    shutil.rmtree(scratch)


def _push(paths: Paths, builder: str, name: str, reference: str) -> None:
    with console.step(f"pushing {reference}"):
        commands.run_logged(push_command(builder, reference), _log(paths, name, "push"))


def push_command(builder: str, reference: str) -> list[str]:
    """Return the command that pushes an image; like docker, it allows a registry on this machine without TLS."""
    on_this_machine = reference.startswith(("localhost:", "127.0.0.1:"))
    insecure = ["--tls-verify=false"] if builder == "buildah" and on_this_machine else []
    return [builder, "push", *insecure, reference]


def _log(paths: Paths, name: str, action: str) -> Path:
    return paths.state / "logs" / f"image-{name}-{action}.log"
