"""A document over the limit of its readers is not written."""

import pytest

from tunewright_contracts.document import Document
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.documents import write_document
from tunewright_storage.errors import StorageError, StorageReason

URI = StorageURI.parse("s3://bucket/team/note.json")


class Note(Document):
    text: str


def test_a_document_of_exactly_the_limit_is_written_and_can_be_read(store):
    note = Note(text="é" * 100)
    size = len(note.to_json().encode())
    assert write_document(store, URI, note, size)
    assert Note.from_json(store.read(URI, size)) == note


def test_a_document_over_the_limit_is_not_written(store):
    note = Note(text="é" * 100)
    size = len(note.to_json().encode())
    with pytest.raises(StorageError, match=f"note.json: it has {size} bytes, and at most {size - 1} are read") as error:
        write_document(store, URI, note, size - 1)
    assert error.value.reason is StorageReason.TOO_LARGE
    assert not error.value.retryable
    assert not store.exists(URI)


def test_a_document_that_is_there_is_kept(store):
    assert write_document(store, URI, Note(text="first"), 1000, if_absent=True)
    assert not write_document(store, URI, Note(text="second"), 1000, if_absent=True)
    assert Note.from_json(store.read(URI)).text == "first"
