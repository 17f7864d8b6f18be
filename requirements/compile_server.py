# ruff: noqa: INP001 - a script beside its inputs, no package
"""Pin the server image's packages with hashes: server.txt, server-vllm.txt and server-vllm-nodeps.txt.

The three layers of the image must not carry a package twice, so each file leaves out what the layer below it holds at
the same version: torch.txt below server-vllm.txt below server.txt. Run it with uv on the path, from anywhere.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, set[str]]:
    """Return package → versions of a compiled file; one package may have a version for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(path.read_text()):
        found.setdefault(name, set()).add(version)
    return found


def compile_requirements(source: Path, target: Path, *options: str) -> None:
    """Run ``uv pip compile`` for the image's Python; the output names no index and no machine."""
    command = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--upgrade", *options, str(source), "--output-file", str(target)]
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments


def without(below: dict[str, set[str]], whole: dict[str, set[str]]) -> list[str]:
    """Return the options that leave out what the layer below holds at the same version."""
    same = sorted(name for name, versions in whole.items() if versions <= below.get(name, set()))
    return [option for name in same for option in ("--no-emit-package", name)]


def main() -> None:
    """Compile all three files."""
    torch = pins(HERE / "torch.txt")
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.txt"
        compile_requirements(HERE / "server-vllm.in", whole)
        vllm = pins(whole)
        compile_requirements(HERE / "server-vllm.in", HERE / "server-vllm.txt", "-c", str(whole), *without(torch, vllm))
        compile_requirements(HERE / "server.in", HERE / "server.txt", "-c", str(whole))
        ours = pins(HERE / "server.txt")
        options = without(vllm, ours)
        compile_requirements(HERE / "server.in", HERE / "server.txt", "-c", str(whole), *options)
    compile_requirements(HERE / "server-vllm-nodeps.in", HERE / "server-vllm-nodeps.txt", "--no-deps")


if __name__ == "__main__":
    main()
