"""Measure a cold Go build of the local cluster's programs: each with a separate cache, compared with all at once.

    python bench/cold_build.py [--folder FOLDER]

Both builds start with an empty build cache and with downloaded modules. The difference is what a shared cache, one
module graph and one `go build` save. CPU seconds are the sum for all compilers and linkers: on a shared machine, they
are more reliable than the elapsed time. The measurement takes about twice the time of a cold `make up`, and 10 GB in
FOLDER, which it deletes afterwards.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tunewright_dev.images import binaries, go_toolchain
from tunewright_dev.images.binaries import Program
from tunewright_dev.paths import Paths, find_paths

PROGRAMS = (*binaries.CLUSTER, *binaries.TOOLS)


@dataclasses.dataclass(frozen=True)
class Cost:
    """The elapsed time and the CPU time of a build, in seconds."""

    passed: float
    cpu: float


def run_go(paths: Paths, go: Path, *arguments: str) -> Cost:
    """Run `go` in the module with the caches of `paths`."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, **binaries.build_environment(paths)}
    subprocess.run(
        [go, *arguments], cwd=paths.clone / "dev" / "go", env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - started, cpu)


def build(paths: Paths, go: Path, programs: Sequence[Program]) -> Cost:
    """Build the programs with an empty build cache."""
    shutil.rmtree(paths.cache / "go-build", ignore_errors=True)
    out = paths.cache / "out"
    out.mkdir(exist_ok=True)
    cost = run_go(paths, go, *binaries.build_arguments(programs, out))
    show(" + ".join(program.name for program in programs), cost)
    return cost


def show(what: str, cost: Cost) -> None:
    """Print one line."""
    print(f"{what:<60} {cost.passed:7.1f} s {cost.cpu:7.1f} CPU s", flush=True)


def main() -> None:
    """Build both ways and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to put the caches (default: a temporary folder)")
    folder = Path(tempfile.mkdtemp(prefix="cold-build-", dir=parser.parse_args().folder))
    try:
        paths = dataclasses.replace(find_paths(), cache=folder)
        go = go_toolchain.ensure_go(paths)
        packages = [program.package for program in PROGRAMS]
        show("downloading the modules", run_go(paths, go, "list", "-deps", *packages))
        alone = [build(paths, go, [program]) for program in PROGRAMS]
        show("one after another", Cost(sum(cost.passed for cost in alone), sum(cost.cpu for cost in alone)))
        build(paths, go, PROGRAMS)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
