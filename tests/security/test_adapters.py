"""A bucket writer who replaces a published adapter at its address."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.memory_store import MemoryStore
from tunewright_contracts.adapter_manifest import (
    CONFIG_NAME,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    AdapterManifest,
    BaseModelIdentity,
    adapter_folder,
    compute_adapter_digest,
)
from tunewright_contracts.content_file import ContentFile
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.adapter import fetch_adapter, read_manifest
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import digest_bytes


def publish(bucket: MemoryStore, weights: bytes, uri: StorageURI | None = None) -> tuple[StorageURI, str]:
    """Publish an adapter, in the folder of its digest or in another one."""
    content = {WEIGHTS_NAME: weights, CONFIG_NAME: b"{}"}
    digest = compute_adapter_digest({name: digest_bytes(data) for name, data in content.items()})
    folder = uri or StorageURI.parse(f"s3://bucket/out/{adapter_folder(digest)}")
    manifest = AdapterManifest(
        digest=digest,
        files=tuple(
            ContentFile(path=name, sha256=digest_bytes(data), size=len(data)) for name, data in content.items()
        ),
        base_model=BaseModelIdentity(name="tiny", digest="sha256:" + "b" * 64),
        rank=8,
        dataset_digest="sha256:" + "d" * 64,
        evaluation_dataset_uri="",
        training={},
        packages={},
        created_at="2026-01-01T00:00:00Z",
    )
    for name, data in content.items():
        bucket.write(folder.join(name), data)
    bucket.write(folder.join(MANIFEST_NAME), manifest.to_json().encode())
    return folder, digest


def test_an_adapter_that_is_replaced_consistently_is_not_read() -> None:
    """The manifest of the new content is valid, but `spec.adapter.uri` names the digest of the old one."""
    bucket = MemoryStore()
    uri, _ = publish(bucket, b"good")
    assert read_manifest(bucket, uri).rank == 8
    publish(bucket, b"evil", uri)
    with pytest.raises(StorageError, match="it was replaced after publication") as error:
        read_manifest(bucket, uri)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH


def test_replaced_weights_are_not_loaded(tmp_path: Path) -> None:
    bucket = MemoryStore()
    uri, digest = publish(bucket, b"good")
    bucket.write(uri.join(WEIGHTS_NAME), b"evil")
    with pytest.raises(StorageError, match="the file was changed or truncated after publication"):
        fetch_adapter(bucket, uri, tmp_path, digest)
    assert not (tmp_path / adapter_folder(digest) / WEIGHTS_NAME).exists()


def test_another_adapter_is_not_loaded_in_place_of_the_one_in_the_status(tmp_path: Path) -> None:
    """In a folder without a digest in its name, the digest in the status and in the signed plan decides."""
    bucket = MemoryStore()
    plain = StorageURI.parse("s3://bucket/out/mine")
    _, digest = publish(bucket, b"good", plain)
    publish(bucket, b"evil", plain)
    with pytest.raises(StorageError, match="instead of"):
        fetch_adapter(bucket, plain, tmp_path, digest)
