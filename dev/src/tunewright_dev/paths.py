"""The folders of a cluster's files and of the caches, for the local cluster and an existing one (`CLUSTER=existing`).

There are three roots with different lifetimes: the cache (built once, shared by clones, safe to delete), the state (one
cluster per machine, survives a reboot) and the run folder (sockets, process records, mounts; useless after a reboot).
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
    """The folders that the program writes to; `network` and `cgroups` name the only exceptions."""

    clone: Path
    cache: Path
    state: Path
    run: Path
    kubeconfig: Path
    """The administrator's kubeconfig, for users of this clone."""

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
        """One log per component; look here first if something is wrong."""
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
        """Images and snapshots of containerd; `down` keeps them, so that the next `up` pulls nothing."""
        return self.state / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """The socket of our containerd, for the kubelet and ctr."""
        return self.run / "containerd.sock"

    @property
    def buildah_root(self) -> Path:
        """Images in buildah's storage; `down` keeps them."""
        return self.state / "buildah"

    @property
    def registry_root(self) -> Path:
        """The registry's blobs; `down` keeps them."""
        return self.state / "registry"

    @property
    def object_store(self) -> Path:
        """The data of the object store's volume; `down` deletes it, because the cluster has the only credentials."""
        return self.state / "object-store"

    def claim(self) -> None:
        """Record that we started the cluster on this machine since its boot, and the cluster's state folder."""
        for folder in (self.run, self.state):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        files.write(self.run / _CLAIM, json.dumps({"state": str(self.state), "boot": _read_boot()}))

    def is_claimed(self) -> bool:
        """Return whether we started a cluster since the boot of this machine and have not stopped it.

        Only then do the firewall's KUBE chains and the control groups `kubepods` belong to us.
        """
        return _read_claim(self.run) is not None


_RUN = Path("/run/tunewright")
_CLAIM = "claim.json"


def is_existing() -> bool:
    """Return whether `CLUSTER` selects the cluster of the current kubeconfig context.

    Raises:
        DevError: it has another value.
    """
    value = os.environ.get("CLUSTER", "")
    if value not in {"", "local", "existing"}:
        raise DevError(f"CLUSTER is {value!r}. Do not set it for a local cluster, or set it to `existing`.")
    return value == "existing"


def find_paths() -> Paths:
    """Return the folders of this machine and this clone.

    `TUNEWRIGHT_CACHE` and `TUNEWRIGHT_STATE` override the two large ones. The run folder is fixed. A running cluster
    keeps the state folder with which it was started, so that clones with different settings use the same one. For an
    existing cluster, nothing is written outside the clone and the cache.

    Raises:
        DevError: `CLUSTER` has an unknown value.
    """
    clone = Path(__file__).resolve().parents[3]
    cache = Path(os.environ.get("TUNEWRIGHT_CACHE") or Path.home() / ".cache" / "tunewright").resolve()
    if is_existing():
        home = clone / "build" / "existing"
        return Paths(clone, cache, state=home, run=home / "run", kubeconfig=home / "kubeconfig")
    state = Path(_read_claim(_RUN) or os.environ.get("TUNEWRIGHT_STATE") or "/var/lib/tunewright").resolve()
    return Paths(clone, cache, state, _RUN, kubeconfig=clone / "build" / "kubeconfig")


def _read_claim(run: Path) -> str | None:
    """Return the state folder of the cluster that was started since the machine's boot, or None."""
    try:
        claim = json.loads((run / _CLAIM).read_text())
    except FileNotFoundError:
        return None
    return str(claim["state"]) if claim["boot"] == _read_boot() else None


def _read_boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
