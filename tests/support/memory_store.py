"""A bucket in memory, which attackers of the tests can write to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import ObjectInfo, Store, digest_bytes


class MemoryStore(Store):
    """Objects by address; ``objects`` is what everyone with the bucket's credentials can change."""

    def __init__(self) -> None:
        self.objects: dict[StorageURI, bytes] = {}

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        for uri in sorted(self._below(prefix), key=str):
            data = self.objects[uri]
            yield ObjectInfo(uri, len(data), hashlib.sha256(data).hexdigest())

    def exists(self, uri: StorageURI) -> bool:
        return uri in self.objects

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        if uri not in self.objects:
            raise StorageError(StorageReason.NOT_FOUND, f"cannot read {uri}")
        data = self.objects[uri]
        if max_bytes is not None and len(data) > max_bytes:
            raise StorageError(StorageReason.TOO_LARGE, f"{uri} has more than {max_bytes} bytes")
        return data

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        data = self.read(uri, max_bytes)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest_bytes(data)

    def upload(self, path: Path, uri: StorageURI) -> str:
        self.objects[uri] = path.read_bytes()
        return digest_bytes(self.objects[uri])

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        if if_absent and uri in self.objects:
            return False
        self.objects[uri] = data
        return True

    def delete_prefix(self, prefix: StorageURI) -> int:
        found = self._below(prefix)
        for uri in found:
            del self.objects[uri]
        return len(found)

    def check_writable(self, prefix: StorageURI) -> None:
        """Every address is writable."""

    def copy(self, source: StorageURI, target: StorageURI) -> None:
        """Copy all objects below an address, as an attacker does who swaps or replays them."""
        for uri in self._below(source):
            self.objects[StorageURI(target.bucket, target.key + uri.key.removeprefix(source.key))] = self.objects[uri]

    def _below(self, prefix: StorageURI) -> list[StorageURI]:
        return [
            uri
            for uri in self.objects
            if uri.bucket == prefix.bucket and (uri == prefix or uri.key.startswith(f"{prefix.key}/"))
        ]
