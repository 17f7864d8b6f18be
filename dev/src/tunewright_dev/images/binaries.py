"""Build the Go programs of the local cluster from the modules that go.sum pins.

Each program lies in a folder of the cache that is named after the hash of its inputs, so that an unchanged one is
never built again and a second clone finds it. A build goes to a temporary folder and is renamed when it is whole.
"""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

from tunewright_dev import commands, console, hashing, locks
from tunewright_dev.images import go_toolchain

if TYPE_CHECKING:
    from pathlib import Path

    from tunewright_dev.paths import Paths

KUBERNETES_VERSION = "v1.34.4"
_VERSION_PACKAGE = "k8s.io/component-base/version"
_KUBERNETES_STAMP = (
    f"-X {_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION} -X {_VERSION_PACKAGE}.gitMajor=1 "
    f"-X {_VERSION_PACKAGE}.gitMinor=34 -X {_VERSION_PACKAGE}.gitTreeState=clean"
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A Go program: its module's folder below `dev/`, its package, and the other names that it answers to."""

    name: str
    module: str
    package: str = "."
    linker_flags: str = ""
    names: tuple[str, ...] = ()


HYPERKUBE = Program(
    name="hyperkube",
    module="hyperkube",
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
REGISTRY = Program("registry", "tools/registry", "github.com/distribution/distribution/v3/cmd/registry")
COREDNS = Program("coredns", "tools/coredns")
PAUSE = Program("pause", "tools/pause")
# The Kubernetes that `helm template` and `helm lint` render for when no cluster is asked.
_HELM_STAMP = "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"
HELM = Program("helm", "tools/helm", "helm.sh/helm/v3/cmd/helm", linker_flags=_HELM_STAMP)
KUBECONFORM = Program("kubeconform", "tools/kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")

PROGRAMS = (PAUSE, KUBECONFORM, REGISTRY, COREDNS, HELM, HYPERKUBE)


def ensure_program(paths: Paths, program: Program) -> Path:
    """Return the path of the built program, building it first when its inputs changed.

    Raises:
        DevError: no Go could be found or fetched, or the build failed.
    """
    module = paths.clone / "dev" / program.module
    home = paths.binaries / f"{program.name}-{program_key(program, module)}"
    binary = home / program.name
    if not binary.is_file():
        with locks.exclusive("binaries"):
            if not binary.is_file():
                _build(paths, program, module, home)
    return binary


def program_key(program: Program, module: Path) -> str:
    """Return the hash of the program's inputs: module files (go.sum among them), package, flags and names.

    The Go that builds it is no part: any that go.mod accepts will do, and a newer one builds nothing anew.
    """
    parameters = {"package": program.package, "flags": program.linker_flags, "names": " ".join(program.names)}
    files = [(str(path.relative_to(module)), path) for path in hashing.list_files(module)]
    return hashing.hash_inputs(parameters, files)


def ensure_all(paths: Paths) -> dict[str, Path]:
    """Build what is missing, one after the other (a Go build takes every core), and link kubectl and helm."""
    built = {program.name: ensure_program(paths, program) for program in PROGRAMS}
    folder = paths.build / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    targets = {name: built[name] for name in ("helm", "kubeconform")} | {
        "kubectl": built["hyperkube"].parent / "kubectl"
    }
    for name, target in targets.items():
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return built


def _build(paths: Paths, program: Program, module: Path, home: Path) -> None:
    paths.binaries.mkdir(parents=True, exist_ok=True)
    scratch = paths.binaries / f".{home.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    go = go_toolchain.ensure_go(paths)
    argv = [str(go), "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    argv += ["-ldflags", f"-s -w {program.linker_flags}".strip(), "-o", str(scratch / program.name), program.package]
    environment = {
        # Pure Go: the same bytes on a machine with and without a C compiler, and no libc needed in an image.
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw",
        "GOCACHE": str(paths.cache / "go-build"),
        "GOMODCACHE": str(paths.cache / "go-mod"),
    }
    with console.step(f"building {program.name} with Go (once; minutes for large ones)"):
        commands.run_logged(argv, paths.cache / "logs" / f"build-{program.name}.log", env=environment, cwd=module)
    for name in program.names:
        (scratch / name).symlink_to(program.name)
    if home.exists():
        shutil.rmtree(home)
    scratch.rename(home)
