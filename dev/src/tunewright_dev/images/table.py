"""The table of images: the inputs of each, and the name that results from them.

The tag of an image is the hash of all its inputs, including its base's tag. So an image that a registry has under its
tag is current, in whichever clone it was built, and the name of a pod's image changes only with its content.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tunewright_dev import files, hashing, topology
from tunewright_dev.errors import DevError
from tunewright_dev.images.artefacts import ARTEFACTS
from tunewright_dev.paths import Paths

TABLE = "dev/images/images.toml"
LICENCE = "Apache-2.0"


class Image(BaseModel):
    """One entry of the table, which explains the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    containerfile: str
    base: str | None = None
    inputs: tuple[str, ...] = ()
    artefacts: tuple[str, ...] = ()
    arguments: dict[str, str] = Field(default_factory=dict)
    cluster: bool = False


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image, with a tag for its content."""

    name: str
    tag: str

    @property
    def in_cluster(self) -> str:
        """The name that pods use."""
        return f"{topology.REGISTRY_NAME}/{topology.REPOSITORY}/{self.name}:{self.tag}"

    @property
    def on_host(self) -> str:
        """The name of the same image for buildah."""
        return f"{topology.REGISTRY_ADDRESS}/{topology.REPOSITORY}/{self.name}:{self.tag}"


def read_table(clone: Path) -> list[Image]:
    """Return the images of the table, each after its base.

    Raises:
        DevError: an entry has a base that does not precede it, or an unknown artefact.
    """
    images = [Image.model_validate(entry) for entry in tomllib.loads((clone / TABLE).read_text())["image"]]
    seen: set[str] = set()
    for image in images:
        if image.base is not None and image.base not in seen:
            raise DevError(f"{TABLE}: image {image.name!r} has the base {image.base!r}, which must come before it.")
        unknown = sorted(set(image.artefacts) - set(ARTEFACTS))
        if unknown:
            raise DevError(
                f"{TABLE}: image {image.name!r} has the unknown artefacts {unknown}; use some of {sorted(ARTEFACTS)}."
            )
        seen.add(image.name)
    return images


def name_images(paths: Paths, images: Iterable[Image]) -> dict[str, Reference]:
    """Return the reference of each image by its name; it depends only on the content of the inputs.

    Raises:
        DevError: an input does not exist.
    """
    references: dict[str, Reference] = {}
    for image in images:
        references[image.name] = Reference(image.name, hash_image(paths, image, paths.clone, references))
    return references


def hash_image(paths: Paths, image: Image, folder: Path, references: Mapping[str, Reference]) -> str:
    """Return the hash of the image's inputs in `folder`: the clone, or a context made from it."""
    parameters = {f"artefact {name}": ARTEFACTS[name].key(paths) for name in image.artefacts}
    parameters |= {f"argument {name}": value for name, value in image.arguments.items()}
    if image.base is not None:
        parameters["base"] = references[image.base].tag
    return hashing.hash_inputs(parameters, _list_inputs(folder, image))


def write_references(paths: Paths, references: Mapping[str, Reference]) -> None:
    """Write build/images.json: the names that pods use, by image."""
    target = paths.build / "images.json"
    names = {name: reference.in_cluster for name, reference in references.items()}
    files.write(target, json.dumps(names, indent=2) + "\n")


def _list_inputs(folder: Path, image: Image) -> list[tuple[str, Path]]:
    """Return the name and the path of each input file.

    Raises:
        DevError: an input does not exist.
    """
    try:
        found = [path for name in (image.containerfile, *image.inputs) for path in hashing.list_files(folder / name)]
    except FileNotFoundError as error:
        raise DevError(f"{TABLE}: image {image.name!r} has the input {error}, which does not exist.") from error
    return [(str(path.relative_to(folder)), path) for path in found]


def stage_context(paths: Paths, image: Image, context: Path) -> None:
    """Create a context with only the declared inputs, so that a build cannot use files that are not hashed."""
    context.mkdir(parents=True)
    for name, path in _list_inputs(paths.clone, image):
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        # Independent of the clone's umask, because a pod's user must be able to read it.
        target.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    for name in image.artefacts:
        _link(ARTEFACTS[name].make(paths), context / name)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def build_labels(paths: Paths, image: Image) -> dict[str, str]:
    """Return the OCI labels. They are not inputs: a commit that changes no input changes no tag."""
    project = tomllib.loads((paths.clone / "pyproject.toml").read_text())["project"]
    return {
        "org.opencontainers.image.title": f"tunewright-{image.name}",
        "org.opencontainers.image.version": project["version"],
        "org.opencontainers.image.revision": _read_revision(paths.clone),
        "org.opencontainers.image.licenses": LICENCE,
    }


def _read_revision(clone: Path) -> str:
    """Return the commit, with "-dirty" if the clone differs from it.

    The result is "unknown" without a repository or without git, as in an unpacked archive.
    """
    commit = _ask_git(clone, "rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _ask_git(clone, "status", "--porcelain") else commit


def _ask_git(clone: Path, *arguments: str) -> str:
    try:
        argv = ["git", "-C", str(clone), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
