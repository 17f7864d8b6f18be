"""The requirements of the machine, and one `apt-get install` for the missing packages.

If a machine is not supported, one message lists everything that it lacks, before anything is changed on it.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from tunewright_dev import commands, console, topology
from tunewright_dev.errors import DevError
from tunewright_dev.paths import Paths

PACKAGES = (
    "buildah",
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "debootstrap",
    "ethtool",
    "iproute2",
    "iptables",
    "procps",
    "runc",
    "socat",
)
CORES = 2
MEMORY_GIB = 20
DISK_GIB = 40
KEPT_DISK_GIB = 8
# The part of Go, its modules and the builds; checked separately if the cache is on another file system.
CACHE_GIB = 12
KEPT_CACHE_GIB = 2
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ELSEWHERE = "On a machine that already has a cluster, use `CLUSTER=existing REGISTRY=host/path make demo`."
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = (
    "#!/bin/sh\n# Written by Tunewright while it installs packages: their services are not to start.\nexit 101\n"
)


@dataclasses.dataclass(frozen=True)
class Host:
    """The properties of the machine."""

    system: str
    architecture: str
    distribution: str
    is_root: bool
    cores: int
    memory_gib: float
    free_disk_gib: float
    free_cache_gib: float | None
    """None if the cache is on the state's file system."""
    filesystems: frozenset[str]


def inspect(paths: Paths) -> Host:
    """Inspect the machine."""
    state, cache = _find_existing(paths.state), _find_existing(paths.cache)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    filesystems = Path("/proc/filesystems")
    return Host(
        system=platform.system(),
        architecture=platform.machine(),
        distribution=f"{release.get('ID', 'unknown')} {release.get('VERSION_ID', '')}".strip(),
        is_root=os.geteuid() == 0,
        cores=os.cpu_count() or 1,
        memory_gib=pages / 2**30,
        free_disk_gib=_measure_free_gib(state),
        free_cache_gib=None if _read_device(state) == _read_device(cache) else _measure_free_gib(cache),
        filesystems=frozenset(line.split()[-1] for line in filesystems.read_text().splitlines())
        if filesystems.exists()
        else frozenset(),
    )


def _find_existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _read_device(folder: Path) -> int:
    return folder.stat().st_dev


def _measure_free_gib(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 2**30


def find_problems(host: Host, *, disk_gib: float, cache_gib: float) -> list[str]:
    """Return the reasons why the cluster cannot run on `host`, one sentence each.

    Args:
        host: the machine.
        disk_gib: the free disk space that the state needs.
        cache_gib: the free disk space that the cache needs if it is on another file system.
    """
    problems = []
    if host.system != "Linux" or host.architecture != "x86_64":
        problems.append(f"needs Linux on x86_64, this is {host.system} on {host.architecture}")
    if host.distribution != "debian 12":
        problems.append(f"needs Debian 12 (its containerd, runc and buildah), this is {host.distribution}")
    if not host.is_root:
        problems.append("needs root (it creates network interfaces, mounts and cgroups)")
    if host.cores < CORES:
        problems.append(f"needs {CORES} cores, this has {host.cores}")
    if host.memory_gib < MEMORY_GIB:
        problems.append(f"needs {MEMORY_GIB} GiB of memory, this has {host.memory_gib:.0f}")
    if host.free_disk_gib < disk_gib:
        problems.append(
            f"needs {disk_gib:.0f} GiB of free disk, "
            f"this has {host.free_disk_gib:.0f} (TUNEWRIGHT_STATE sets another folder)"
        )
    if host.free_cache_gib is not None and host.free_cache_gib < cache_gib:
        problems.append(
            f"needs {cache_gib:.0f} GiB of free disk for its cache, "
            f"this has {host.free_cache_gib:.0f} (TUNEWRIGHT_CACHE sets another folder)"
        )
    if "overlay" not in host.filesystems:
        problems.append("needs a kernel with overlayfs (`modprobe overlay` loads it if it is a module)")
    return problems


def require_supported(paths: Paths) -> None:
    """Check that the cluster can run on this machine.

    Raises:
        DevError: it cannot; the message lists all reasons.
    """
    # After an earlier run, the space is already in use.
    disk = KEPT_DISK_GIB if paths.containerd_root.exists() else DISK_GIB
    cache = KEPT_CACHE_GIB if paths.binaries.exists() else CACHE_GIB
    problems = find_problems(inspect(paths), disk_gib=disk, cache_gib=cache)
    if problems:
        raise DevError(_list("The local cluster cannot run on this machine. It", problems))


def require_root() -> None:
    """Check that this process runs as root.

    Raises:
        DevError: this is not root.
    """
    if os.geteuid() != 0:
        raise DevError("This needs root: it removes network interfaces, mounts and cgroups.")


def require_free(addresses: Sequence[tuple[str, int]], chains: str, routes: str) -> None:
    """Check that no other program uses the cluster's ports, firewall chains and addresses.

    Args:
        addresses: the addresses and ports that components will listen on.
        chains: the output of iptables-save.
        routes: the output of `ip -4 -o route`.

    Raises:
        DevError: something is in use; the message lists all of it.
    """
    problems = [f"port {port} of {address} is in use" for address, port in addresses if not _is_free(address, port)]
    if ":KUBE-SERVICES " in chains:
        problems.append("the firewall has the rules of another Kubernetes (chain KUBE-SERVICES)")
    for network in (topology.POD_RANGE, topology.SERVICE_RANGE, IPv4Network(f"{topology.NODE_ADDRESS}/32")):
        problems += [f"the route `{route}` overlaps {network}" for route in find_overlapping(routes, network)]
    if problems:
        raise DevError(_list(f"Another program uses what the local cluster needs. {_ELSEWHERE} Found:", problems))


def find_overlapping(routes: str, network: IPv4Network) -> list[str]:
    """Return the lines of `ip -4 -o route` whose destination overlaps `network`, except the default route."""
    found = []
    for line in routes.splitlines():
        words = [word for word in line.split() if word not in ("unreachable", "blackhole", "prohibit")]
        if words and words[0][0].isdigit() and IPv4Network(words[0], strict=False).overlaps(network):
            found.append(line.strip())
    return found


def install_packages() -> None:
    """Install the missing Debian packages, without starting their services.

    Raises:
        DevError: apt could not install them.
    """
    missing = find_missing_packages()
    if not missing:
        return
    with console.step(f"installing Debian packages: {' '.join(missing)}"), _no_services():
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        try:
            commands.capture(install, env=environment)
        except DevError:
            # A new machine has no package lists, and old lists may have versions that no longer exist.
            commands.capture(["apt-get", "update", "-q"], env=environment)
            commands.capture(install, env=environment)


def find_missing_packages() -> list[str]:
    """Return the required Debian packages that are not installed."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *PACKAGES]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in listed.splitlines() if line.split()[1:] == ["ii"]}
    return [package for package in PACKAGES if package not in installed]


@contextmanager
def _no_services() -> Iterator[None]:
    ours = _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT
    if not _POLICY.exists():
        _POLICY.write_text(_POLICY_TEXT)
        _POLICY.chmod(0o755)
        ours = True
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink(missing_ok=True)


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The node's address may not exist yet; then its port is free.
        probe.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _list(head: str, items: Sequence[str]) -> str:
    return "\n".join([head, *(f"  - {item}" for item in items)])
