"""The cluster's containerd, separate from a container runtime of the machine.

Everything that it writes is in our state and run folders: images, mounts, sockets, network namespaces.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunewright_dev import files, topology
from tunewright_dev.local import components, probes
from tunewright_dev.paths import Paths

NAME = "containerd"
_IPV6 = Path("/proc/sys/net/ipv6")


def build_config(paths: Paths, *, pause_image: str) -> str:
    """Return containerd's configuration (version 2, for the 1.6 of Debian 12)."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{paths.containerd_root}"
state = "{paths.run}/containerd"
# The first would make /opt/containerd; the others look for file systems that are not used here.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{paths.containerd_socket}"

[{cri}]
  sandbox_image = "{pause_image}"
  # Without CAP_SYS_RESOURCE (root in many virtual machines) no sandbox could lower its score, and none would start.
  restrict_oom_score_adj = true
  # Network namespaces lie under `state`, where they go with all other mounts.
  netns_mounts_under_state_dir = true

[{cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
  # A layer that was unpacked is never needed packed again: half the disk.
  discard_unpacked_layers = true

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
  Root = "{paths.run}/runc"
  SystemdCgroup = false

[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{paths.config}/cni"

[{cri}.registry]
  config_path = "{paths.config}/registries"
"""


def build_network(paths: Paths) -> str:
    """Return the CNI configuration: a routed point-to-point link for each pod."""
    # Not a bridge: with routed links, answers of a Service between two pods also pass the packet filter, without the
    # br_netfilter module, and no pod shares a link layer with another.
    ipam = {
        "type": "host-local",
        "dataDir": str(paths.run / "addresses"),
        "ranges": [[{"subnet": str(topology.NODE_POD_RANGE)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins: list[dict[str, Any]] = [{"type": "ptp", "ipMasq": False, "ipam": ipam}]
    if _IPV6.exists():
        # Not even a link-local address: by it, a pod could reach services of the machine without the packet filter.
        plugins.append({"type": "tuning", "sysctl": {"net.ipv6.conf.eth0.disable_ipv6": "1"}})
    return json.dumps({"cniVersion": "1.0.0", "name": "tunewright", "plugins": plugins}, indent=2)


def build_registry_hosts() -> str:
    """Return the hosts.toml that maps our registry's name to the registry on loopback."""
    address = f"http://{topology.REGISTRY_ADDRESS}"
    return f'server = "{address}"\n\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'


def write_config(paths: Paths, *, pause_image: str) -> Path:
    """Write all files that containerd reads, and return the path of its main configuration."""
    config = paths.config / "containerd.toml"
    contents = {
        config: build_config(paths, pause_image=pause_image),
        paths.config / "cni" / "10-tunewright.conflist": build_network(paths),
        paths.config / "registries" / topology.REGISTRY_NAME / "hosts.toml": build_registry_hosts(),
    }
    for path, text in contents.items():
        files.write(path, text)
    return config


def describe(paths: Paths, *, pause_image: str) -> components.Component:
    """Return the component, with its files written."""
    config = write_config(paths, pause_image=pause_image)
    return components.Component(
        name=NAME,
        argv=("/usr/bin/containerd", "--config", str(config)),
        is_ready=lambda: probes.listens(paths.containerd_socket),
        files=(config,),
    )
