"""Documents in a bucket: written only if they are within the limit that their readers have.

A sealed document carries a code of the job's key (`authentication`), and is read only if the code is valid.
"""

from __future__ import annotations

from typing import TypeVar

from tunewright_contracts.authentication.document_key import DocumentKey, DocumentKind
from tunewright_contracts.document import Document
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store

Sealed = TypeVar("Sealed", bound=Document)


def write_document(
    store: Store, uri: StorageURI, document: Document, max_bytes: int, *, if_absent: bool = False
) -> bool:
    """Store a document as JSON; see `Store.write`.

    Args:
        store: takes it.
        uri: its address.
        document: the document.
        max_bytes: the limit with which it is read.
        if_absent: write only if there is no object at the address.

    Returns:
        False if ``if_absent`` is set and there was an object.

    Raises:
        StorageError: the write failed, or the document is larger than its readers accept: then nothing is written.
    """
    return _write(store, uri, document.to_json().encode(), max_bytes, if_absent=if_absent)


def write_sealed(
    store: Store, uri: StorageURI, document: Document, max_bytes: int, *, kind: DocumentKind, key: DocumentKey
) -> None:
    """Store a document as JSON with its code.

    Raises:
        StorageError: as for `write_document`.
    """
    _write(store, uri, key.seal(kind, document), max_bytes)


def read_sealed(
    store: Store, uri: StorageURI, model: type[Sealed], max_bytes: int, *, kind: DocumentKind, key: DocumentKey
) -> Sealed:
    """Read a document whose code is valid.

    Raises:
        AuthenticationError: it has no code, or the code does not match the key, the kind or the content.
        ContractError: it cannot be read as the model.
        StorageError: it does not exist, cannot be read, or has more than ``max_bytes``.
    """
    return model.from_wire(key.open(kind, store.read(uri, max_bytes)))


def _write(store: Store, uri: StorageURI, data: bytes, max_bytes: int, *, if_absent: bool = False) -> bool:
    if len(data) > max_bytes:
        raise StorageError(
            StorageReason.TOO_LARGE, f"cannot write {uri}: it has {len(data)} bytes, and at most {max_bytes} are read"
        )
    return store.write(uri, data, if_absent=if_absent)
