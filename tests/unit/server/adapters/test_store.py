"""A pod reads its adapters from the object store and verifies them."""

import pytest

from tunewright_contracts.adapter_manifest import AdapterManifest
from tunewright_contracts.storage_uri import StorageURI
from tunewright_server.adapters import store
from tunewright_server.adapters.store import StoredAdapters
from tunewright_storage.errors import StorageError, StorageReason

URI = StorageURI.parse("s3://bucket/adapters/a")


class Shelf:
    """An object store that contains a single text."""

    def __init__(self, text: bytes | None) -> None:
        self.text = text
        self.read_uris: list[str] = []

    def read(self, uri, _max_bytes):
        self.read_uris.append(str(uri))
        if self.text is None:
            raise StorageError(StorageReason.NOT_FOUND, "not there")
        return self.text


def test_the_manifest_is_read_below_the_adapters_uri():
    shelf = Shelf(None)
    with pytest.raises(StorageError) as caught:
        StoredAdapters(shelf).read_manifest(URI)
    assert caught.value.reason is StorageReason.NO_MANIFEST
    assert shelf.read_uris == ["s3://bucket/adapters/a/manifest.json"]


def test_a_fetch_is_verified_against_the_requested_digest(tmp_path, monkeypatch):
    asked = []
    manifest = AdapterManifest.model_construct(digest="sha256:" + "a" * 64)
    monkeypatch.setattr(store.adapter, "fetch_adapter", lambda *arguments: asked.append(arguments) or manifest)
    shelf = Shelf(b"")
    assert StoredAdapters(shelf).fetch(URI, tmp_path, manifest.digest, 11) is manifest
    assert asked == [(shelf, URI, tmp_path, manifest.digest, 11)]
