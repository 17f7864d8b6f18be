"""Adapters in S3, read with the pod's read-only identity."""

from __future__ import annotations

from pathlib import Path

from tunewright_contracts.adapter_manifest import AdapterManifest
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage import adapter
from tunewright_storage.object_store import ObjectStore


class StoredAdapters:
    """The `AdapterSourcePort` of a pod."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read_manifest(self, uri: StorageURI) -> AdapterManifest:
        """Return an adapter's manifest. Raises StorageError."""
        return adapter.read_manifest(self._store, uri)

    def fetch(self, uri: StorageURI, folder: Path, digest: str, max_bytes: int) -> AdapterManifest:
        """Fetch and verify an adapter of at most ``max_bytes`` into ``<folder>/sha256-<hex>/``. Raises StorageError."""
        return adapter.fetch_adapter(self._store, uri, folder, digest, max_bytes)
