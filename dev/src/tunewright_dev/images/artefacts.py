"""Files of images that are not in the repository: Go programs, the object store, a Debian root file system.

Each has a key: the hash of everything that its content depends on. The key is part of the tag of the image that needs
the file, and the file is made only when this image is built.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from tunewright_dev import commands, console, hashing, locks
from tunewright_dev.errors import DevError
from tunewright_dev.images import binaries, go_toolchain
from tunewright_dev.paths import Paths

# python3-venv contains ensurepip; the CA bundle is for users' HTTPS endpoints.
DEBIAN_PACKAGES = ("ca-certificates", "python3", "python3-venv")
DEBIAN_SUITE = "bookworm"
# Increase it to rebuild the root file system with Debian's latest updates.
DEBIAN_GENERATION = 1
# Documentation and package lists: a third of the root file system.
_UNWANTED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


@dataclasses.dataclass(frozen=True)
class Artefact:
    """How to compute the key of a file, and how to make the file."""

    key: Callable[[Paths], str]
    make: Callable[[Paths], Path]


def _program(program: binaries.Program) -> Artefact:
    return Artefact(
        key=lambda paths: binaries.program_key(paths, program),
        make=lambda paths: binaries.ensure_program(paths, program),
    )


def _weed_requirements(paths: Paths) -> Path:
    return paths.clone / "dev" / "requirements" / "seaweedfs.txt"


def _weed_key(paths: Paths) -> str:
    return hashing.hash_inputs({}, [("seaweedfs.txt", _weed_requirements(paths))])


def _make_weed(paths: Paths) -> Path:
    home = paths.cache / f"seaweedfs-{_weed_key(paths)}"
    with locks.exclusive("artefacts"):
        if not home.exists():
            with console.step("fetching SeaweedFS"):
                go_toolchain.install(paths, _weed_requirements(paths), home)
    return home / "bin" / "weed"


def _debian_key(_paths: Paths) -> str:
    parameters = {
        "suite": DEBIAN_SUITE,
        "packages": " ".join(DEBIAN_PACKAGES),
        "generation": str(DEBIAN_GENERATION),
        "unwanted": " ".join(_UNWANTED),
    }
    return hashing.hash_inputs(parameters, [])


def _make_debian(paths: Paths) -> Path:
    archive = paths.cache / f"debian-{_debian_key(paths)}.tar"
    with locks.exclusive("artefacts"):
        if not archive.exists():
            _bootstrap_debian(paths, archive)
    return archive


def _bootstrap_debian(paths: Paths, archive: Path) -> None:
    root = paths.state / "debootstrap"
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}", DEBIAN_SUITE, str(root)]
    with console.step("making a Debian root file system (once; about a minute)"):
        commands.run_logged([*argv, find_mirror()], paths.cache / "logs" / "debootstrap.log")
        for name in _UNWANTED:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)
        # The image must not contain the machine's mirror; builds that need packages get its sources while they run.
        (root / "etc/apt/sources.list").write_text("")
        scratch = archive.with_suffix(".new")
        commands.capture(
            ["tar", "--create", "--numeric-owner", "--one-file-system", "--file", scratch, "-C", root, "."]
        )
        scratch.rename(archive)
        shutil.rmtree(root)


def find_mirror() -> str:
    """Return the address of the Debian mirror that this machine's apt uses for the suite's main archive.

    Raises:
        DevError: apt has no sources, or its lists were never fetched.
    """
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    found = commands.capture([*query, f"Release: {DEBIAN_SUITE}"]).split()
    if found:
        return found[0]
    raise DevError(
        f"apt on this machine has no source for Debian {DEBIAN_SUITE} main: "
        "add one to /etc/apt/sources.list and run `apt-get update`."
    )


def prefetch(paths: Paths) -> None:
    """Make the files that are not built with Go.

    Raises:
        DevError: a file could not be made; the message names its log.
    """
    for name in ("weed", "debian.tar"):
        ARTEFACTS[name].make(paths)


ARTEFACTS: dict[str, Artefact] = {
    "pause": _program(binaries.PAUSE),
    "coredns": _program(binaries.COREDNS),
    "weed": Artefact(_weed_key, _make_weed),
    "debian.tar": Artefact(_debian_key, _make_debian),
}
