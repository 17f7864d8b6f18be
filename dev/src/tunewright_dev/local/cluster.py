"""The local cluster as a whole: up, down, status.

There is one cluster per machine, which any clone can use. `up` starts what is missing, also after an interrupted run.
`down` removes everything that runs, and keeps what was expensive to make (binaries, image layers).
"""

from __future__ import annotations

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path

from tunewright_dev import commands, console, files, locks, topology
from tunewright_dev.errors import DevError
from tunewright_dev.images import artefacts, binaries
from tunewright_dev.images import build as images
from tunewright_dev.images.table import Reference
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.local import (
    cgroups,
    components,
    containerd,
    control_plane,
    coredns,
    host,
    leftovers,
    mounts,
    network,
    processes,
    registry,
)
from tunewright_dev.local.components import Component
from tunewright_dev.object_store import access, deployment, readiness
from tunewright_dev.paths import Paths

# In the order of their start.
COMPONENTS = (
    registry.NAME,
    containerd.NAME,
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
_ADDRESSES = (
    (topology.REGISTRY_ADDRESS.partition(":")[0], topology.REGISTRY_PORT),
    ("127.0.0.1", topology.ETCD_PORT),
    ("127.0.0.1", topology.ETCD_PEER_PORT),
    (str(topology.NODE_ADDRESS), topology.API_PORT),
    (str(topology.NODE_ADDRESS), topology.KUBELET_PORT),
    *(("127.0.0.1", port) for port in (10248, 10249, 10256, 10257, 10259)),
)
# The folders of the state that belong to one cluster; image layers and the registry are kept.
_CLUSTER_STATE = ("etcd", "pki", "config", "kubelet", "object-store")
_READY_SECONDS = 120
# The kubelet and containerd have these paths in their sources.
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_SHIM_SOCKETS = Path("/run/containerd/s")


@dataclasses.dataclass(frozen=True)
class Status:
    """One component: whether it runs, and its log."""

    name: str
    pid: int | None
    log: Path


def up(paths: Paths) -> Kubectl:
    """Start the cluster and return a kubectl for it; components that already run are not changed.

    Raises:
        DevError: the machine is unsupported or in use, or a component failed; the message states what to do.
    """
    host.require_supported(paths)
    host.install_packages()
    # Before the builds, which take minutes, and again after them.
    with locks.exclusive("cluster"):
        _require_place(paths)
    programs = _build_programs(paths)
    with locks.exclusive("cluster"):
        _require_place(paths)
        paths.claim()
        network.prepare(paths)
        credentials = control_plane.ensure_credentials(paths)
        references = _start(paths, programs, credentials)
        _publish_kubeconfig(paths, credentials)
        kubectl = Kubectl(programs / "kubectl", paths.kubeconfig)
        _finish(paths, kubectl, {name: reference.in_cluster for name, reference in references.items()})
    return kubectl


def _build_programs(paths: Paths) -> Path:
    """Build the cluster's programs and return the folder of Kubernetes' programs.

    The other files of the images are fetched meanwhile: a fetch needs the network and the disk, a Go build needs the
    cores.
    """
    with binaries.building(paths, binaries.CLUSTER) as builds:
        if builds:
            artefacts.prefetch(paths)
    programs = binaries.find_program(paths, binaries.HYPERKUBE).parent
    binaries.link_programs(paths, {"kubectl": programs / "kubectl"})
    return programs


def down(paths: Paths) -> None:
    """Stop everything and remove every process, mount, namespace, interface and rule of the cluster.

    Raises:
        DevError: something is left; the files that a later run needs to remove it are kept.
    """
    host.require_root()
    # In the same order as in `up`. A build needs the registry, which is stopped here, so wait for the end of a build.
    with locks.exclusive("cluster"), locks.exclusive("images"):
        components.stop_all(paths, COMPONENTS)
        _clear_leftovers(paths)
        # Without a claim, the rest may belong to another Kubernetes on this machine.
        if paths.is_claimed():
            leftovers.require_none(paths)
        for name in _CLUSTER_STATE:
            shutil.rmtree(paths.state / name, ignore_errors=True)
        shutil.rmtree(paths.run, ignore_errors=True)
        paths.kubeconfig.unlink(missing_ok=True)


def read_status(paths: Paths) -> list[Status]:
    """Return the state of every component."""
    found = ((name, components.find(paths, name)) for name in COMPONENTS)
    return [Status(name, process.pid if process else None, components.log_path(paths, name)) for name, process in found]


def read_deaths(paths: Paths) -> str:
    """Return the message about components that were started and died while others run; empty if there are none."""
    started = [status for status in read_status(paths) if components.pid_path(paths, status.name).exists()]
    return explain_dead(started)


def explain_dead(statuses: list[Status]) -> str:
    """Return the message about components that do not run while others do, with their logs; empty if there are none."""
    dead = [status for status in statuses if status.pid is None]
    if not dead or len(dead) == len(statuses):
        return ""
    lines = [f"  - {status.name}; its log is {status.log}" for status in dead]
    return "\n".join(["Components of the local cluster are not running:", *lines, "`make up` starts them again."])


def connect(paths: Paths) -> Kubectl:
    """Return a kubectl for the running cluster, from any clone.

    Raises:
        DevError: a component is not running; the message names its log.
    """
    statuses = read_status(paths)
    if all(status.pid is None for status in statuses):
        raise DevError("The local cluster is not running. Run `make up`.")
    if dead := explain_dead(statuses):
        raise DevError(dead)
    program = binaries.ensure_program(paths, binaries.HYPERKUBE).parent / "kubectl"
    return Kubectl(program, paths.kubeconfig)


def _start(paths: Paths, programs: Path, credentials: control_plane.Credentials) -> dict[str, Reference]:
    early = [registry.describe(paths), control_plane.describe_etcd(paths, programs, credentials)]
    api_server = control_plane.describe_api_server(programs, credentials)
    _launch(paths, [*early, api_server])
    for component in early:
        components.wait_ready(paths, component)
    references = images.ensure_images(paths, cluster_only=True)
    runtime = containerd.describe(paths, pause_image=references["pause"].in_cluster)
    _launch(paths, [runtime])
    components.wait_ready(paths, api_server)
    components.wait_ready(paths, runtime)
    late = [
        control_plane.describe_controller_manager(programs, credentials),
        control_plane.describe_scheduler(programs, credentials),
        control_plane.describe_kubelet(paths, programs, credentials),
        control_plane.describe_proxy(paths, programs, credentials),
    ]
    _launch(paths, late)
    for component in late:
        components.wait_ready(paths, component)
    return references


def _launch(paths: Paths, described: list[Component]) -> None:
    started = [component.name for component in described if components.start(paths, component)]
    if started:
        console.say(f"  started {', '.join(started)} (logs in {paths.logs})")


def _finish(paths: Paths, kubectl: Kubectl, names: dict[str, str]) -> None:
    """Start the pods of the cluster, and wait for them and for the node."""
    kubectl.apply(coredns.build_dns(names["coredns"]))
    deployment.deploy(paths, kubectl, names["seaweedfs"])
    node, timeout = f"node/{topology.NODE_NAME}", f"--timeout={_READY_SECONDS}s"
    kubectl.run("wait", node, "--for=create", timeout)
    kubectl.run("wait", node, "--for=condition=Ready", timeout)
    kubectl.run("--namespace=kube-system", "rollout", "status", "deployment/coredns", timeout)
    readiness.wait_available(kubectl)
    readiness.ensure_buckets(access.connect(paths, kubectl, access.service_address()))


def _publish_kubeconfig(paths: Paths, credentials: control_plane.Credentials) -> None:
    files.write(paths.kubeconfig, credentials.kubeconfigs["admin"].read_text(), mode=0o600)


def _require_place(paths: Paths) -> None:
    """If no component runs, remove what an interrupted run left, and check that no other program uses the machine."""
    if any(components.find(paths, name) for name in COMPONENTS):
        return
    _clear_leftovers(paths)
    chains = commands.capture(["iptables-save", "-t", "nat"])
    host.require_free(_ADDRESSES, chains, commands.capture(["ip", "-4", "-o", "route"]))


def _clear_leftovers(paths: Paths) -> None:
    """Remove what components left behind: pods, shims, other processes, mounts, rules."""
    if not paths.is_claimed():
        return
    cgroups.kill_pods()
    processes.stop(*processes.find_marked(), patience=components.STOP_SECONDS)
    _remove_shim_sockets(paths)
    mounts.unmount_all([paths.run, paths.state])
    cgroups.remove_groups()
    network.remove(paths)
    for folder in ("containerd", "runc", "addresses", "components"):
        shutil.rmtree(paths.run / folder, ignore_errors=True)
    _remove_foreign_traces(paths)


def _remove_shim_sockets(paths: Paths) -> None:
    for address in paths.run.glob("containerd/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _remove_foreign_traces(paths: Paths) -> None:
    """Remove the few files that the kubelet and CNI write to folders that cannot be configured."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.logs):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob("tunewright-*"):
        result.unlink()
    (_DEVICE_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for folder in (_DEVICE_PLUGINS, _DEVICE_PLUGINS.parent, _SHIM_SOCKETS, _SHIM_SOCKETS.parent):
        with suppress(OSError):
            folder.rmdir()
