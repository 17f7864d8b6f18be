"""The interface of object stores."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tunewright_contracts.storage_uri import StorageURI


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object: ``size`` in bytes; ``version`` is the ETag, which changes when the content does."""

    uri: StorageURI
    size: int
    version: str


class Store(Protocol):
    """Read and write objects; every failure is a `StorageError`. Methods may be called from several threads."""

    @abc.abstractmethod
    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """Yield the object at an address, or all objects below it, in key order.

        Raises:
            StorageError: the bucket cannot be listed.
        """

    @abc.abstractmethod
    def exists(self, uri: StorageURI) -> bool:
        """Return whether an object exists.

        Raises:
            StorageError: this could not be found out.
        """

    @abc.abstractmethod
    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: it does not exist, cannot be read, or has more than ``max_bytes``.
        """

    @abc.abstractmethod
    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """Write an object to a file and return its ``sha256:<hex>``. An incomplete file never appears.

        Raises:
            StorageError: it does not exist, cannot be read, or has more than ``max_bytes``; nothing is written.
        """

    @abc.abstractmethod
    def upload(self, path: Path, uri: StorageURI) -> str:
        """Store a file, with a SHA-256 checksum that the store verifies, and return its ``sha256:<hex>``.

        Raises:
            StorageError: the write failed.
        """

    @abc.abstractmethod
    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """Store bytes; with ``if_absent`` only if no object exists (``If-None-Match: *``).

        Returns:
            False if ``if_absent`` is set and an object exists.

        Raises:
            StorageError: the write failed.
        """

    @abc.abstractmethod
    def delete_prefix(self, prefix: StorageURI) -> int:
        """Delete everything at or below an address and return the number of deleted objects.

        Raises:
            StorageError: an object cannot be listed or deleted.
        """

    @abc.abstractmethod
    def check_writable(self, prefix: StorageURI) -> None:
        """Write and delete a small object below a prefix, so that a job without access fails early.

        Raises:
            StorageError: the write failed.
        """


def digest_bytes(data: bytes) -> str:
    """Return the ``sha256:<hex>`` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_file(path: Path) -> str:
    """Return a file's ``sha256:<hex>``."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
