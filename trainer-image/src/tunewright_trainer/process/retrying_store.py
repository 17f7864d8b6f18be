"""An object store whose calls are repeated while it is unreachable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.store import ObjectInfo, Store
from tunewright_trainer.process.patience import Patience


class RetryingStore(Store):
    """Repeat each call of another store while it is unreachable, as long as the patience lasts."""

    def __init__(self, store: Store, patience: Patience) -> None:
        """Wrap a store."""
        self._store = store
        self._patience = patience

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """See `Store.list`; all pages are read before the first object is yielded."""
        return iter(self._patience.repeat(lambda: [*self._store.list(prefix)]))

    def exists(self, uri: StorageURI) -> bool:
        """See `Store.exists`."""
        return self._patience.repeat(lambda: self._store.exists(uri))

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """See `Store.read`."""
        return self._patience.repeat(lambda: self._store.read(uri, max_bytes))

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """See `Store.download`."""
        return self._patience.repeat(lambda: self._store.download(uri, path, max_bytes))

    def upload(self, path: Path, uri: StorageURI) -> str:
        """See `Store.upload`."""
        return self._patience.repeat(lambda: self._store.upload(path, uri))

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """See `Store.write`.

        If the answer to a conditional write is lost, the retry finds the object that was written and returns False. So
        callers compare the stored content with theirs.
        """
        return self._patience.repeat(lambda: self._store.write(uri, data, if_absent=if_absent))

    def delete_prefix(self, prefix: StorageURI) -> int:
        """See `Store.delete_prefix`."""
        return self._patience.repeat(lambda: self._store.delete_prefix(prefix))

    def check_writable(self, prefix: StorageURI) -> None:
        """See `Store.check_writable`."""
        self._patience.repeat(lambda: self._store.check_writable(prefix))
