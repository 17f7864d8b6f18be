"""Build the images that changed with buildah and push them to the local registry."""

from __future__ import annotations

import http.client
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tunewright_dev import commands, console, locks, topology
from tunewright_dev.errors import DevError
from tunewright_dev.images import registry_access, table
from tunewright_dev.images.table import Image, Reference
from tunewright_dev.paths import Paths

_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_REGISTRY_SECONDS = 2.0


def ensure_images(paths: Paths, *, cluster_only: bool = False) -> dict[str, Reference]:
    """Build and push the images that the registry lacks; return all references, and write them to build/images.json.

    Raises:
        DevError: a build or a push failed; the message names its log.
    """
    images = [image for image in table.read_table(paths.clone) if image.cluster or not cluster_only]
    references = table.name_images(paths, images)
    if any(not has_image(reference.name, reference.tag) for reference in references.values()):
        with locks.exclusive("images"):
            for image in images:
                _ensure_image(paths, image, references)
    if not cluster_only:
        table.write_references(paths, references)
    return references


def _ensure_image(paths: Paths, image: Image, references: Mapping[str, Reference]) -> None:
    reference = references[image.name]
    if has_image(reference.name, reference.tag):
        return
    with console.step(f"building the image {image.name}"):
        _build(paths, image, references)
    tags = f"curl http://{topology.REGISTRY_ADDRESS}/v2/{topology.REPOSITORY}/{image.name}/tags/list"
    with console.step(f"pushing the image {image.name}", tags):
        _push(paths, reference)


def has_image(name: str, tag: str) -> bool:
    """Return whether the local registry has the image `name:tag`."""
    connection = http.client.HTTPConnection(topology.REGISTRY_ADDRESS, timeout=_REGISTRY_SECONDS)
    try:
        path = f"/v2/{topology.REPOSITORY}/{quote(name)}/manifests/{quote(tag)}"
        connection.request("HEAD", path, headers={"Accept": _MANIFESTS})
        return connection.getresponse().status == http.client.OK
    finally:
        connection.close()


def _build(paths: Paths, image: Image, references: Mapping[str, Reference]) -> None:
    scratch = paths.cache / "contexts" / image.name
    shutil.rmtree(scratch, ignore_errors=True)
    context = scratch / "context"
    table.stage_context(paths, image, context)
    if table.hash_image(paths, image, context, references) != references[image.name].tag:
        raise DevError(f"The inputs of the image {image.name!r} changed while it was built. Run the command again.")
    argv: list[str | Path] = [
        *_buildah(paths),
        "build",
        "--layers",
        "--format=oci",
        "--tls-verify=false",
        "--pull=false",
    ]
    argv += ["--file", context / image.containerfile, "--tag", references[image.name].on_host]
    for key, value in table.build_labels(paths, image).items():
        argv += ["--label", f"{key}={value}"]
    arguments = dict(image.arguments)
    if image.base is not None:
        arguments["BASE_IMAGE"] = references[image.base].on_host
        for mount in registry_access.build_mounts(scratch / "access"):
            argv += ["--volume", mount]
    for key, value in arguments.items():
        argv += ["--build-arg", f"{key}={value}"]
    commands.run_logged([*argv, context], _log(paths, image.name, "build"), env=_environment(paths))
    shutil.rmtree(scratch)


def _push(paths: Paths, reference: Reference) -> None:
    # zstd's fastest level: gzip takes minutes for the layers with torch.
    argv = [
        *_buildah(paths),
        "push",
        "--tls-verify=false",
        "--format=oci",
        "--compression-format=zstd",
        "--compression-level=1",
    ]
    commands.run_logged([*argv, reference.on_host], _log(paths, reference.name, "push"), env=_environment(paths))


def _buildah(paths: Paths) -> list[str | Path]:
    root, runroot = paths.buildah_root, paths.run / "buildah"
    return ["buildah", "--root", root, "--runroot", runroot, "--storage-driver=overlay"]


def _environment(paths: Paths) -> dict[str, str]:
    temporary = paths.cache / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    # chroot needs no working runc and no cgroups, and only this isolation is tested.
    return {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(temporary), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def _log(paths: Paths, name: str, action: str) -> Path:
    return paths.cache / "logs" / f"image-{name}-{action}.log"
