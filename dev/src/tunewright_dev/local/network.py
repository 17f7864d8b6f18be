"""The machine's side of the cluster network: one interface without ports, the routes to it, and kernel settings.

Pods hang on point-to-point links, routed one by one. The ranges of pods and Services are routed to that interface
as a whole, so that a packet for an unused address ends there and never leaves by the default route.
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
# What we and the components change; put back by `remove`.
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
    """Bring up interface, routes, forwarding and packet filter; does nothing where they are already right."""
    _remember_settings(_settings_path(paths))
    (_PROC / "net/ipv4/ip_forward").write_text("1\n")
    if not _exists(_LINK):
        # A bridge without ports, for want of the dummy driver, which some kernels made for virtual machines lack.
        commands.capture(["ip", "link", "add", _LINK, "type", "bridge"])
    commands.capture(["ip", "address", "replace", f"{topology.NODE_ADDRESS}/32", "dev", _LINK])
    commands.capture(["ip", "link", "set", _LINK, "up"])
    for network in (topology.POD_RANGE, topology.SERVICE_RANGE):
        commands.capture(["ip", "route", "replace", str(network), "dev", _LINK])
    firewall.apply()


def remove(paths: Paths) -> None:
    """Remove what `prepare` and the components made, and put the kernel's settings back."""
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
    """Return the node's interface and the pods' links that are there."""
    own = list_interfaces(commands.capture(["ip", "-4", "-o", "address"]))
    return sorted({*own, *([_LINK] if _exists(_LINK) else [])})


def list_interfaces(addresses: str) -> list[str]:
    """Return the interfaces in the output of `ip -4 -o address` with an address of pods:
    the machine's ends of their links.
    """
    found = []
    for line in addresses.splitlines():
        words = line.split()
        if words[2] == "inet" and ip_interface(words[3]).ip in topology.POD_RANGE:
            found.append(words[1])
    return found


def _delete(name: str) -> None:
    """Delete an interface, and the other end of a pod's link with it.

    The kernel does that to the links of pods that ended, but only with their network namespace, and a TCP connection
    that no process owns any more and whose other end is gone keeps its namespace for minutes.
    """
    try:
        commands.capture(["ip", "link", "delete", name])
    except DevError:
        # The kernel may just have been faster.
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
