"""Where a cluster's files and the caches lie, for the local cluster and for an existing one (`CLUSTER=existing`).

Three lifetimes, three roots: the cache (built once, shared by clones, safe to delete), the state (one cluster per
machine, survives a reboot) and the run folder (sockets, process records, mounts; worth nothing after a reboot).
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from tunewright_dev import files
from tunewright_dev.errors import DevError


@dataclasses.dataclass(frozen=True)
class Paths:
    """The folders that the program may write in; it writes nowhere else but where `network` and `cgroups` say."""

    clone: Path
    cache: Path
    state: Path
    run: Path
    kubeconfig: Path
    """The administrator's kubeconfig, as people of this clone use it."""

    @property
    def build(self) -> Path:
        """Outputs of this clone, ignored by git."""
        return self.clone / "build"

    @property
    def binaries(self) -> Path:
        """Go programs, each in a folder named after the hash of its inputs."""
        return self.cache / "bin"

    @property
    def logs(self) -> Path:
        """One log per component; the one folder to look in when something is wrong."""
        return self.state / "logs"

    @property
    def records(self) -> Path:
        """One JSON record per running component."""
        return self.run / "components"

    @property
    def pki(self) -> Path:
        """Certificates, keys and kubeconfigs of the components."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.state / "config"

    @property
    def containerd_root(self) -> Path:
        """Images and snapshots of the kubelet's containerd; kept by `down`, so that the next `up` pulls nothing."""
        return self.state / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Where the kubelet and ctr reach our containerd."""
        return self.run / "containerd.sock"

    @property
    def buildah_root(self) -> Path:
        """Images as buildah sees them; kept by `down`."""
        return self.state / "buildah"

    @property
    def registry_root(self) -> Path:
        """The registry's blobs; kept by `down`."""
        return self.state / "registry"

    @property
    def object_store(self) -> Path:
        """The data of the object store's volume; deleted by `down` with the cluster that knows its credentials."""
        return self.state / "object-store"

    def claim(self) -> None:
        """Note that the cluster on this machine is ours since this boot, and which state folder it has."""
        for folder in (self.run, self.state):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        files.write(self.run / _CLAIM, json.dumps({"state": str(self.state), "boot": _read_boot()}))

    def is_claimed(self) -> bool:
        """Return whether a cluster of ours was started since this boot and not taken down.

        Only then are the firewall's KUBE chains and the control groups `kubepods` ours to remove.
        """
        return _read_claim(self.run) is not None


_RUN = Path("/run/tunewright")
_CLAIM = "claim.json"


def is_existing() -> bool:
    """Return whether `CLUSTER` asks for the cluster of the current kubeconfig context.

    Raises:
        DevError: it has another value.
    """
    value = os.environ.get("CLUSTER", "")
    if value not in {"", "local", "existing"}:
        raise DevError(f"CLUSTER is {value!r}. Leave it out for a local cluster, or set it to `existing`.")
    return value == "existing"


def find_paths() -> Paths:
    """Return the folders of this machine and this clone.

    `TUNEWRIGHT_CACHE` and `TUNEWRIGHT_STATE` override the two large ones. The run folder is fixed, and a cluster that
    runs keeps the state folder that it was started with, so that two clones with different settings see the same one.
    For an existing cluster nothing is written outside the clone and the cache.

    Raises:
        DevError: `CLUSTER` has another value than those that `is_existing` knows.
    """
    clone = Path(__file__).resolve().parents[3]
    cache = Path(os.environ.get("TUNEWRIGHT_CACHE") or Path.home() / ".cache" / "tunewright").resolve()
    if is_existing():
        home = clone / "build" / "existing"
        return Paths(clone, cache, state=home, run=home / "run", kubeconfig=home / "kubeconfig")
    state = Path(_read_claim(_RUN) or os.environ.get("TUNEWRIGHT_STATE") or "/var/lib/tunewright").resolve()
    return Paths(clone, cache, state, _RUN, kubeconfig=clone / "build" / "kubeconfig")


def _read_claim(run: Path) -> str | None:
    """Return the state folder of the cluster that was started since this boot, None when there is none."""
    try:
        claim = json.loads((run / _CLAIM).read_text())
    except FileNotFoundError:
        return None
    return str(claim["state"]) if claim["boot"] == _read_boot() else None


def _read_boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
