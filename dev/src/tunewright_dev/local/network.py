"""The machine's part of the cluster network: one interface without ports, the routes to it, and kernel settings.

Each pod has a point-to-point link and a route. The whole ranges of pods and Services are routed to that interface, so
that a packet for an unused address ends there and does not leave by the default route.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_interface
from pathlib import Path

from tunewright_dev import commands, topology
from tunewright_dev.errors import DevError
from tunewright_dev.local import firewall
from tunewright_dev.paths import Paths

_LINK = topology.NODE_INTERFACE
# The settings that this program and the components change; `remove` restores them.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_PROC = Path("/proc/sys")


def prepare(paths: Paths) -> None:
    """Set up interface, routes, forwarding and packet filter; do not change what is already right."""
    _remember_settings(_settings_path(paths))
    (_PROC / "net/ipv4/ip_forward").write_text("1\n")
    if not _exists(_LINK):
        # A bridge without ports, because some kernels for virtual machines have no dummy driver.
        commands.capture(["ip", "link", "add", _LINK, "type", "bridge"])
    commands.capture(["ip", "address", "replace", f"{topology.NODE_ADDRESS}/32", "dev", _LINK])
    commands.capture(["ip", "link", "set", _LINK, "up"])
    for network in (topology.POD_RANGE, topology.SERVICE_RANGE):
        commands.capture(["ip", "route", "replace", str(network), "dev", _LINK])
    firewall.apply()


def remove(paths: Paths) -> None:
    """Remove what `prepare` and the components created, and restore the kernel's settings."""
    firewall.remove()
    for name in find_interfaces():
        _delete(name)
    saved = _settings_path(paths)
    if saved.exists():
        for name, value in json.loads(saved.read_text()).items():
            path = _PROC / name
            if path.exists() and path.read_text().strip() != value:
                path.write_text(f"{value}\n")
        saved.unlink()


def find_interfaces() -> list[str]:
    """Return the existing interfaces of the node and of the pods' links."""
    own = list_interfaces(commands.capture(["ip", "-4", "-o", "address"]))
    return sorted({*own, *([_LINK] if _exists(_LINK) else [])})


def list_interfaces(addresses: str) -> list[str]:
    """Return the interfaces with an address of pods, the ends of their links, in the output of `ip -4 -o address`."""
    found = []
    for line in addresses.splitlines():
        words = line.split()
        if words[2] == "inet" and ip_interface(words[3]).ip in topology.POD_RANGE:
            found.append(words[1])
    return found


def _delete(name: str) -> None:
    """Delete an interface, and with it the other end of a pod's link.

    When a pod has ended, the kernel deletes its link, but only with its network namespace. A TCP connection without a
    process and without its other end keeps the namespace for minutes.
    """
    try:
        commands.capture(["ip", "link", "delete", name])
    except DevError:
        # The kernel may have deleted it in the meantime.
        if _exists(name):
            raise


def _exists(name: str) -> bool:
    return subprocess.run(["ip", "link", "show", "dev", name], capture_output=True, check=False).returncode == 0


def _settings_path(paths: Paths) -> Path:
    return paths.run / "kernel-settings.json"


def _remember_settings(saved: Path) -> None:
    if saved.exists():
        return
    values = {name: (_PROC / name).read_text().strip() for name in SETTINGS if (_PROC / name).exists()}
    scratch = saved.with_suffix(".new")
    scratch.write_text(json.dumps(values))
    scratch.rename(saved)
