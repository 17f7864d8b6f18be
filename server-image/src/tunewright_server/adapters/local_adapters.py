"""The adapters' files in a pod: fetched, checked, kept over a container restart, and bounded together."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from tunewright_contracts.adapter_manifest import AdapterManifest, adapter_folder, compute_adapter_digest
from tunewright_contracts.document import ContractError
from tunewright_contracts.server_config import MAX_ADAPTERS_BYTES
from tunewright_contracts.serving_plan import AdapterEntry, AdapterSource
from tunewright_contracts.storage_uri import StorageURI
from tunewright_server.adapters import preflight
from tunewright_server.adapters.disk_budget import DiskBudget
from tunewright_server.files import write_atomically
from tunewright_storage import adapter_content
from tunewright_storage.base_shapes import BaseShapes
from tunewright_storage.store import digest_file

LOAD_DEADLINE_SECONDS = 300.0
"""How long vLLM may load one adapter from the local disk; the largest adapters have some gigabytes."""
JOURNAL_FOLDER = ".loads"
"""Beside the adapters' folders, whose names have no leading dot."""
_KEPT_MANIFEST = "manifest.json"


class AdapterSourcePort(Protocol):
    """Where adapters come from; pods use `StoredAdapters`."""

    def read_manifest(self, uri: StorageURI) -> AdapterManifest:
        """Return the manifest. Raises StorageError."""

    def fetch(self, uri: StorageURI, folder: Path, digest: str, max_bytes: int) -> AdapterManifest:
        """Fetch and verify at most ``max_bytes`` into ``<folder>/sha256-<hex>/``. Raises StorageError."""


@dataclasses.dataclass(frozen=True)
class AdapterLimits:
    """The limits from the server's settings and its base model."""

    base_digest: str
    base: BaseShapes
    max_rank: int
    slots: int
    timeout_seconds: float
    load_deadline_seconds: float = LOAD_DEADLINE_SECONDS
    max_bytes: int = MAX_ADAPTERS_BYTES
    """Of all adapters together, on their volume."""


class LocalAdapters:
    """One folder for each adapter. Methods may be called from several threads, for different adapters."""

    def __init__(self, folder: Path, source: AdapterSourcePort, limits: AdapterLimits) -> None:
        self._folder = folder
        self._source = source
        self._limits = limits
        self.budget = DiskBudget(limits.max_bytes)

    def prepare(self, entry: AdapterEntry, sources: Iterable[AdapterSource]) -> Path:
        """Return the folder with the entry's checked files, fetched now or kept from before a restart.

        Raises:
            AdapterError: the adapter breaks a rule, or the volume has no room for it.
            StorageError: it cannot be fetched.
        """
        limits = self._limits
        uri = preflight.check_entry(entry, sources)
        home = self._folder / entry.name
        folder = home / adapter_folder(entry.digest)
        manifest = read_kept_manifest(home, folder, entry.digest)
        if manifest is None:
            stated = self._source.read_manifest(uri)
            preflight.check_manifest(stated, limits.base_digest, limits.max_rank, limits.base)
            self.budget.reserve(entry.name, stated.content_bytes)
            # `fetch` reads the manifest again, and it may have changed: the digest does not cover the stated sizes.
            manifest = self._source.fetch(uri, home, entry.digest, stated.content_bytes)
            write_atomically(home / _KEPT_MANIFEST, manifest.to_json().encode())
        else:
            self.budget.reserve(entry.name, manifest.content_bytes)
        preflight.check_manifest(manifest, limits.base_digest, limits.max_rank, limits.base)
        adapter_content.check_folder(folder, limits.max_rank, limits.base)
        return folder

    def delete(self, name: str) -> None:
        """Delete an adapter's files."""
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self.budget.release(name)

    def delete_others(self, names: Collection[str]) -> None:
        """Delete the folders of all other adapters."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in names and path.name != JOURNAL_FOLDER:
                    shutil.rmtree(path, ignore_errors=True)


def read_kept_manifest(home: Path, folder: Path, digest: str) -> AdapterManifest | None:
    """Return the manifest of files kept from before a restart, or None if one of them has another digest now."""
    try:
        manifest = AdapterManifest.from_json((home / _KEPT_MANIFEST).read_bytes())
        if manifest.digest != digest or {path.name for path in folder.iterdir()} != {f.path for f in manifest.files}:
            return None
        digests = {file.path: digest_file(folder / file.path) for file in manifest.files}
    except (OSError, ContractError):
        return None
    return manifest if compute_adapter_digest(digests) == digest else None
