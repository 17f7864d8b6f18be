"""Check an adapter's entry in the plan and its manifest, before its files are fetched."""

from __future__ import annotations

from collections.abc import Iterable

from tunewright_contracts.adapter_manifest import AdapterManifest, is_name_of
from tunewright_contracts.serving_plan import AdapterEntry, AdapterSource
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_storage.adapter_config import check_rank
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.base_shapes import BaseShapes
from tunewright_storage.quoting import quote

_MOST_BYTES_ON_A_PACKED_BASE = 8 * 1024**3
"""The limit where sizes cannot be computed, so that a tenant cannot fill the disk.

An adapter of rank 128 for 70 billion parameters in float32 has 6.6 GB.
"""
_SIZE_SLACK_BYTES = 64 * 1024 * 1024
_MOST_BYTES_PER_NUMBER = 4


def check_entry(entry: AdapterEntry, sources: Iterable[AdapterSource]) -> StorageURI:
    """Check a plan's entry and return its address.

    Raises:
        AdapterError: the name does not match the digest, or the namespace may not serve from this address.
    """
    if not is_name_of(entry.name, entry.digest):
        raise AdapterError(
            AdapterReason.INVALID_ENTRY,
            f"{entry.name} does not end with the first digits of {entry.digest}; install operator and server image "
            "of the same release",
        )
    try:
        uri = StorageURI.parse(entry.uri)
    except StorageURIError as error:
        raise AdapterError(
            AdapterReason.SOURCE_NOT_ALLOWED, f"{entry.name}: {error}; publish the adapter below an allowed prefix"
        ) from error
    allowed = [source.uri_prefix for source in sources if source.namespace == entry.namespace]
    for prefix in allowed:
        try:
            if uri.is_within(StorageURI.parse(prefix)):
                return uri
        except StorageURIError:
            continue  # an invalid prefix allows nothing
    raise AdapterError(
        AdapterReason.SOURCE_NOT_ALLOWED,
        f"{entry.uri} is not below a prefix that namespace {entry.namespace} may serve from "
        f"({', '.join(allowed) or 'none'}); add its prefix to the ModelServer's spec.adapterSources, or publish the "
        "adapter below an allowed one",
    )


def check_manifest(manifest: AdapterManifest, base_digest: str, max_rank: int, base: BaseShapes) -> None:
    """Check the manifest before any weights are fetched.

    Raises:
        AdapterError: another base model, a rank over the server's limit, or too many bytes for the server's rank.
    """
    if manifest.base_model.digest != base_digest:
        raise AdapterError(
            AdapterReason.BASE_MODEL_MISMATCH,
            f"the adapter was trained on {quote(manifest.base_model.name)} {manifest.base_model.digest}, but this "
            f"server runs {base_digest}; train it again on this base model, or use a ModelServer that runs the other",
        )
    check_rank(manifest.rank, max_rank, "the manifest")
    size = manifest.content_bytes
    limit = _find_most_bytes(max_rank, base)
    if size > limit:
        raise AdapterError(
            AdapterReason.TOO_LARGE,
            f"the adapter has {size} bytes, but an adapter of rank {max_rank} has at most {limit}; publish only its "
            "LoRA weights",
        )


def _find_most_bytes(max_rank: int, base: BaseShapes) -> int:
    per_rank = base.largest_adapter_elements_per_rank
    if per_rank is None:
        return _MOST_BYTES_ON_A_PACKED_BASE
    return per_rank * max_rank * _MOST_BYTES_PER_NUMBER + _SIZE_SLACK_BYTES
