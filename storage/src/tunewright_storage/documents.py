"""Documents in a bucket: written only if they are within the limit that their readers have."""

from __future__ import annotations

from tunewright_contracts.document import Document
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store


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
    data = document.to_json().encode()
    if len(data) > max_bytes:
        raise StorageError(
            StorageReason.TOO_LARGE, f"cannot write {uri}: it has {len(data)} bytes, and at most {max_bytes} are read"
        )
    return store.write(uri, data, if_absent=if_absent)
