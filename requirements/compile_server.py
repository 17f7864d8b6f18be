# ruff: noqa: INP001 - a script next to its inputs, not a package
"""Pin the server image's packages with hashes: server.txt, server-vllm.txt and server-vllm-nodeps.txt.

No package may be in two layers of the image. So each file omits the packages that the layer below has in the same
version: torch.txt is below server-vllm.txt, which is below server.txt. Run it with uv on the PATH, from any folder.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, set[str]]:
    """Return package → versions of a compiled file; a package can have a version for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(path.read_text()):
        found.setdefault(name, set()).add(version)
    return found


def compile_requirements(source: Path, target: Path, *options: str) -> None:
    """Run ``uv pip compile`` for the image's Python; the output does not depend on the index or the machine."""
    command = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--upgrade", *options, str(source), "--output-file", str(target)]
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments


def without(below: dict[str, set[str]], whole: dict[str, set[str]]) -> list[str]:
    """Return the options that omit the packages that the layer below has in the same version."""
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
