"""Retry calls to an unreachable object store, so that a short outage does not cost a job its GPU hours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import ObjectInfo, Store

log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
_LONGEST_WAIT_SECONDS = 30.0


class RetryingStore(Store):
    """Repeat each call of another store while it is unreachable, with exponential waits of 1 to 30 s.

    Other failures are not retried: waiting does not correct a wrong credential.
    """

    def __init__(
        self,
        store: Store,
        seconds: float,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wrap a store.

        Args:
            store: the store to call.
            seconds: how long a call is repeated.
            wait: waits for some seconds and returns whether the process was asked to stop, which ends the retries.
            clock: returns the seconds of a monotonic clock.
        """
        self._store = store
        self._seconds = seconds
        self._wait = wait
        self._clock = clock

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """See `Store.list`; all pages are read before the first object is yielded."""
        return iter(self._retried(lambda: [*self._store.list(prefix)]))

    def exists(self, uri: StorageURI) -> bool:
        """See `Store.exists`."""
        return self._retried(lambda: self._store.exists(uri))

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """See `Store.read`."""
        return self._retried(lambda: self._store.read(uri, max_bytes))

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """See `Store.download`."""
        return self._retried(lambda: self._store.download(uri, path, max_bytes))

    def upload(self, path: Path, uri: StorageURI) -> str:
        """See `Store.upload`."""
        return self._retried(lambda: self._store.upload(path, uri))

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """See `Store.write`.

        If the answer to a conditional write is lost, the retry finds the object that was written and returns False. So
        callers compare the stored content with theirs.
        """
        return self._retried(lambda: self._store.write(uri, data, if_absent=if_absent))

    def delete_prefix(self, prefix: StorageURI) -> int:
        """See `Store.delete_prefix`."""
        return self._retried(lambda: self._store.delete_prefix(prefix))

    def check_writable(self, prefix: StorageURI) -> None:
        """See `Store.check_writable`."""
        self._retried(lambda: self._store.check_writable(prefix))

    def _retried(self, call: Callable[[], _Result]) -> _Result:
        deadline = self._clock() + self._seconds
        delay = 1.0
        while True:
            try:
                return call()
            except StorageError as error:
                if error.reason is not StorageReason.UNREACHABLE or self._clock() + delay > deadline:
                    raise
                log.warning("object_store_unreachable", seconds=delay, error=str(error))
                if self._wait(delay):
                    raise
            delay = min(delay * 2, _LONGEST_WAIT_SECONDS)
