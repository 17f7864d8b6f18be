"""Adapters in S3: read the manifest, fetch the files, and use only content that the digest covers."""

from __future__ import annotations

import re
from pathlib import Path

from tunewright_contracts.adapter_manifest import (
    CONFIG_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    WEIGHTS_NAME,
    AdapterManifest,
    adapter_folder,
    compute_adapter_digest,
)
from tunewright_contracts.content_file import FORBIDDEN_FILE
from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import AdapterSummary
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store

_DIGEST_FOLDER = re.compile(r"sha256-[0-9a-f]{64}")


def read_manifest(store: Store, uri: StorageURI) -> AdapterManifest:
    """Read and check an adapter's manifest.

    Raises:
        StorageError: it is missing or invalid, lists a file that no adapter may have, or does not match its digest or
            the folder, if that is named after a digest.
    """
    manifest_uri = uri.join(MANIFEST_NAME)
    try:
        text = store.read(manifest_uri, MAX_MANIFEST_BYTES)
    except StorageError as error:
        if error.reason is not StorageReason.NOT_FOUND:
            raise
        raise StorageError(
            StorageReason.NO_MANIFEST,
            (
                f"{uri} has no {MANIFEST_NAME}, which is written last: the adapter is incomplete or was not published "
                "by Tunewright; use a folder sha256-… that a FineTuneJob published"
            ),
        ) from error
    try:
        manifest = AdapterManifest.from_json(text)
    except ContractError as error:
        if FORBIDDEN_FILE in error.kinds:
            raise StorageError(
                StorageReason.FORBIDDEN_FILE,
                (
                    f"{manifest_uri} is invalid: {error}; an adapter can have only safetensors, {CONFIG_NAME} "
                    "and tokenizer files (no pickle, no code, no folders); publish the adapter again without the others"
                ),
            ) from error
        raise StorageError(
            StorageReason.NOT_AN_ADAPTER, f"{manifest_uri} is invalid: {error}; publish the adapter again"
        ) from error
    check_manifest(manifest, manifest_uri)
    _check_folder(manifest, uri)
    return manifest


def _check_folder(manifest: AdapterManifest, uri: StorageURI) -> None:
    """Check that a folder that is named after a digest contains that adapter: others may be able to write to it."""
    name = uri.key.rpartition("/")[2]
    if _DIGEST_FOLDER.fullmatch(name) and name != adapter_folder(manifest.digest):
        raise StorageError(
            StorageReason.DIGEST_MISMATCH,
            f"{uri} contains the adapter {manifest.digest}, which does not belong into this folder: it was replaced "
            "after publication; publish the adapter again, and find out who writes to the bucket",
        )


def summarise(manifest: AdapterManifest, uri: StorageURI) -> AdapterSummary:
    """Return what the operator records about a published adapter."""
    return AdapterSummary(
        uri=str(uri),
        digest=manifest.digest,
        rank=manifest.rank,
        bytes=sum(file.size for file in manifest.files if file.path == WEIGHTS_NAME),
        base_model_digest=manifest.base_model.digest,
        evaluation_dataset_uri=manifest.evaluation_dataset_uri,
        evaluation_dataset_digest=manifest.evaluation_dataset_digest,
        stop_token_ids=manifest.stop_token_ids,
    )


def check_manifest(manifest: AdapterManifest, where: StorageURI) -> None:
    """Check that a manifest is consistent.

    Raises:
        StorageError: a required file is missing, or its digest is not that of its files.
    """
    names = {file.path for file in manifest.files}
    missing = sorted({WEIGHTS_NAME, CONFIG_NAME} - names)
    if missing:
        raise StorageError(
            StorageReason.NOT_AN_ADAPTER, f"{where} does not list {', '.join(missing)}; publish the adapter again"
        )
    computed = compute_adapter_digest({file.path: file.sha256 for file in manifest.files})
    if computed != manifest.digest:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH,
            f"{where} has the digest {manifest.digest}, but its files give {computed}; publish the adapter again",
        )


def fetch_adapter(
    store: Store, uri: StorageURI, folder: Path, expected_digest: str, max_bytes: int | None = None
) -> AdapterManifest:
    """Fetch an adapter's content files into a folder and verify every byte.

    The folder's name contains the digest, so that a path always has the same content (vLLM caches by name and path).

    Args:
        store: contains the adapter.
        uri: the adapter's folder in the store.
        folder: gets a subfolder with the files.
        expected_digest: the adapter's digest.
        max_bytes: the size of all files together.

    Raises:
        StorageError: a file is missing, too large or different, or the digest is not the expected one.
    """
    manifest = read_manifest(store, uri)
    if max_bytes is not None and manifest.content_bytes > max_bytes:
        raise StorageError(
            StorageReason.TOO_LARGE,
            f"{uri} has {manifest.content_bytes} bytes instead of {max_bytes}; publish the adapter again",
        )
    if manifest.digest != expected_digest:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH,
            f"{uri} contains the adapter {manifest.digest} instead of {expected_digest}; publish that one again",
        )
    target = folder / adapter_folder(manifest.digest)
    for file in manifest.files:
        digest = store.download(uri.join(file.path), target / file.path, max_bytes=file.size)
        if digest != file.sha256:
            (target / file.path).unlink()
            raise StorageError(
                StorageReason.DIGEST_MISMATCH,
                (
                    f"{uri}/{file.path} has the digest {digest}, but the manifest lists {file.sha256}: "
                    "the file was changed or truncated after publication; publish the adapter again"
                ),
            )
    return manifest
