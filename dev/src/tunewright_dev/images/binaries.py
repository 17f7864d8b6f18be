"""Build Go programs from modules whose versions go.sum pins.

`dev/go` has the local cluster's programs, `dev/go-peer` the operator that a benchmark compares ours with.

One `go build` builds all missing programs of a module: shared packages are downloaded and compiled once, and one
program is linked while packages of another still compile. Each program has a folder in the cache that is named after
the hash of its inputs. So an unchanged program is not built again, and a second clone uses it. A build is written to a
temporary folder and renamed when it is complete.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tunewright_dev import commands, console, hashing, locks
from tunewright_dev.images import go_toolchain
from tunewright_dev.paths import Paths

KUBERNETES_VERSION = "v1.34.4"
_VERSION_PACKAGE = "k8s.io/component-base/version"
_KUBERNETES_STAMP = (
    f"-X {_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION} -X {_VERSION_PACKAGE}.gitMajor=1 "
    f"-X {_VERSION_PACKAGE}.gitMinor=34 -X {_VERSION_PACKAGE}.gitTreeState=clean"
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A Go program: its package (a folder of its module or a tool of its go.mod), and its other names."""

    name: str
    package: str
    linker_flags: str = ""
    names: tuple[str, ...] = ()
    module: str = "go"
    """The module's folder below `dev`."""


HYPERKUBE = Program(
    name="hyperkube",
    package="./hyperkube",
    linker_flags=_KUBERNETES_STAMP,
    names=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubectl",
        "kubelet",
    ),
)
REGISTRY = Program("registry", "./registry")
COREDNS = Program("coredns", "./coredns")
PAUSE = Program("pause", "./pause")
# The Kubernetes version for which `helm template` and `helm lint` render without a cluster.
_HELM_STAMP = "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"
HELM = Program("helm", "helm.sh/helm/v3/cmd/helm", linker_flags=_HELM_STAMP)
KUBECONFORM = Program("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")
KUBERAY_MODULE = "github.com/ray-project/kuberay/ray-operator"
# In its own module: its versions are not those that Kubernetes was released with.
KUBERAY = Program("ray-operator", KUBERAY_MODULE, module="go-peer")

CLUSTER = (PAUSE, REGISTRY, COREDNS, HYPERKUBE)
"""The programs that the cluster runs."""
TOOLS = (HELM, KUBECONFORM)
"""The programs that work on a cluster: they are needed only when the chart is installed or tested."""


def ensure_program(paths: Paths, program: Program) -> Path:
    """Return the path of the built program; build it first if its inputs changed.

    Raises:
        DevError: no Go could be found or fetched, or the build failed.
    """
    return ensure_programs(paths, [program])[program.name]


def ensure_programs(paths: Paths, programs: Sequence[Program]) -> dict[str, Path]:
    """Return the path of each program of one module by its name; first build those whose inputs changed.

    Raises:
        DevError: no Go could be found or fetched, or the build failed.
    """
    with building(paths, programs):
        pass
    return {program.name: find_program(paths, program) for program in programs}


@contextmanager
def building(paths: Paths, programs: Sequence[Program]) -> Iterator[bool]:
    """Build the missing programs of one module while the block runs, and wait for them after it.

    Yield whether any is missing.

    The block must not build another program: it would wait for itself. If the block fails, the build is stopped.

    Raises:
        DevError: no Go could be found or fetched, or the build failed.
    """
    if not _find_missing(paths, programs):
        yield False
        return
    with locks.exclusive("binaries"):
        missing = _find_missing(paths, programs)
        if not missing:
            yield False
            return
        scratch = paths.binaries / ".building"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        names = ", ".join(program.name for program in missing)
        argv = [str(go_toolchain.ensure_go(paths)), *build_arguments(missing, scratch)]
        log = paths.cache / "logs" / "go-build.log"
        with commands.running(argv, log, env=build_environment(paths), cwd=_module(paths, missing[0])) as build:
            shown = console.follow(f"building {names} with Go (once; minutes for Kubernetes)", build.wait)
            yield True
        shown.join()
        for program in missing:
            _keep(paths, program, scratch)
        shutil.rmtree(scratch)


def find_program(paths: Paths, program: Program) -> Path:
    """Return the path of the program, built or not."""
    return paths.binaries / f"{program.name}-{program_key(paths, program)}" / program.name


def program_key(paths: Paths, program: Program) -> str:
    """Return the hash of the program's inputs: its sources, the versions of the module, package, flags and names.

    The version of Go is not an input: any that go.mod accepts is right, and a newer one rebuilds nothing.
    """
    module = _module(paths, program)
    parameters = {"package": program.package, "flags": program.linker_flags, "names": " ".join(program.names)}
    sources = hashing.list_files(module / program.package) if program.package.startswith("./") else []
    files = [module / "go.mod", module / "go.sum", *sources]
    return hashing.hash_inputs(parameters, [(str(path.relative_to(module)), path) for path in files])


def build_arguments(programs: Sequence[Program], folder: Path) -> list[str]:
    """Return the arguments for `go` to build the programs into a folder, each under the name of its package."""
    arguments = ["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w"]
    # If several patterns match a package, Go uses the last flags.
    arguments += [f"-ldflags={one.package}=-s -w {one.linker_flags}" for one in programs if one.linker_flags]
    return [*arguments, "-o", f"{folder}/", *(program.package for program in programs)]


def build_environment(paths: Paths) -> dict[str, str]:
    """Return the additional environment variables of a Go build."""
    return {
        # Pure Go: the same bytes on a machine with and without a C compiler, and images need no libc.
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw",
        "GOCACHE": str(paths.cache / "go-build"),
        "GOMODCACHE": str(paths.cache / "go-mod"),
    }


def fetch_module(paths: Paths, program: Program, module: str) -> Path:
    """Return the folder with the sources of a Go module, at the version with which the program is built.

    Raises:
        DevError: no Go could be found or fetched, or the module could not be downloaded.
    """
    argv: list[str | Path] = [go_toolchain.ensure_go(paths), "mod", "download", "-json", module]
    answer = commands.capture(argv, env=build_environment(paths), cwd=_module(paths, program))
    return Path(json.loads(answer)["Dir"])


def link_programs(paths: Paths, programs: dict[str, Path]) -> None:
    """Link the programs in build/bin, where tests and users of this clone find them."""
    folder = paths.build / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in programs.items():
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _module(paths: Paths, program: Program) -> Path:
    return paths.clone / "dev" / program.module


def _find_missing(paths: Paths, programs: Sequence[Program]) -> list[Program]:
    return [program for program in programs if not find_program(paths, program).is_file()]


def _keep(paths: Paths, program: Program, scratch: Path) -> None:
    """Move a built program to its place."""
    home, whole = find_program(paths, program).parent, scratch / f"{program.name}.home"
    whole.mkdir()
    (scratch / program.name).rename(whole / program.name)
    for name in program.names:
        (whole / name).symlink_to(program.name)
    shutil.rmtree(home, ignore_errors=True)
    whole.rename(home)
