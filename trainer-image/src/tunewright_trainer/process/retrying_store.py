"""An object store that is away for two minutes must not cost a job its GPU hours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectInfo, ObjectStore

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")
_LONGEST_WAIT_SECONDS = 30.0


class PatientStore(ObjectStore):
    """Repeat each call of another store while it is unreachable, with exponential waits of 1 to 30 s.

    Only unreachability is waited out: wrong credentials do not mend themselves. ``wait`` takes seconds and returns
    True when the process was asked to stop, which ends the patience.
    """

    def __init__(
        self,
        store: ObjectStore,
        seconds: float,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._wait = wait
        self._clock = clock

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """See `ObjectStore.list`; all pages are read before the first object is yielded."""
        return iter(self._patiently(lambda: [*self._store.list(prefix)]))

    def exists(self, uri: StorageURI) -> bool:
        """See `ObjectStore.exists`."""
        return self._patiently(lambda: self._store.exists(uri))

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.read`."""
        return self._patiently(lambda: self._store.read(uri, max_bytes))

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """See `ObjectStore.download`."""
        return self._patiently(lambda: self._store.download(uri, path, max_bytes))

    def upload(self, path: Path, uri: StorageURI) -> str:
        """See `ObjectStore.upload`."""
        return self._patiently(lambda: self._store.upload(path, uri))

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """See `ObjectStore.write`.

        A conditional write whose answer was lost finds its own object when repeated and returns False: callers
        compare what is there.
        """
        return self._patiently(lambda: self._store.write(uri, data, if_absent=if_absent))

    def delete_prefix(self, prefix: StorageURI) -> int:
        """See `ObjectStore.delete_prefix`."""
        return self._patiently(lambda: self._store.delete_prefix(prefix))

    def check_writable(self, prefix: StorageURI) -> None:
        """See `ObjectStore.check_writable`."""
        self._patiently(lambda: self._store.check_writable(prefix))

    def _patiently(self, call: Callable[[], _Result]) -> _Result:
        deadline = self._clock() + self._seconds
        delay = 1.0
        while True:
            try:
                return call()
            except StorageError as error:
                if error.reason is not StorageReason.UNREACHABLE or self._clock() + delay > deadline:
                    raise
                _log.warning("object store unreachable, waiting", seconds=delay, error=str(error))
                if self._wait(delay):
                    raise
            delay = min(delay * 2, _LONGEST_WAIT_SECONDS)
