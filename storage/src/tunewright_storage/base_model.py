"""A base model's files: fetched from S3 or the Hub, identified by one digest of config, tokenizer and weights."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

from tunewright_contracts.adapter_manifest import compute_adapter_digest
from tunewright_contracts.locations import BaseModelSource, HuggingFaceSource, S3Source
from tunewright_contracts.phase_result import BaseModelSummary
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage import hub
from tunewright_storage.base_shapes import find_matrices
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.safetensors_file import SafetensorsError, read_tensors
from tunewright_storage.store import Store, digest_file

PATTERNS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "*.safetensors",
    "model.safetensors.index.json",
)
"""The files of a model; all others (a README, a pickle) are neither fetched nor part of the digest."""

TOKENIZER_PATTERNS = tuple(pattern for pattern in PATTERNS if not pattern.endswith("safetensors"))
_INDEX_NAME = "model.safetensors.index.json"
_WEIGHTS = "*.safetensors"
_MAX_INDEX_BYTES = 64 << 20
"""Ten times the index of a model with 100,000 tensors."""
_MAX_MODULES = 64
_MAX_MODULE_CHARACTERS = 1024
_SHOWN_CHARACTERS = 100


def belongs(name: str, patterns: tuple[str, ...] = PATTERNS) -> bool:
    """Return whether a file in the model's top folder is part of the model."""
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def digest_base_model(folder: Path, revision: str = "") -> BaseModelSummary:
    """Return the digest of the model's files in a folder, by the same rule as an adapter's digest.

    Raises:
        StorageError: there is no config.json or no safetensors file, or the index names a file outside the folder.
    """
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and belongs(path.name)}
    if _INDEX_NAME in files:
        _check_index(files[_INDEX_NAME], str(files[_INDEX_NAME]))
    return _summarise(
        {name: digest_file(path) for name, path in files.items()},
        sum(path.stat().st_size for path in files.values()),
        str(folder),
        revision,
    )


def fetch_base_model(
    source: BaseModelSource, folder: Path, store: Store, patterns: tuple[str, ...] = PATTERNS
) -> BaseModelSummary | None:
    """Fetch a model into a folder and verify it against the digest that inspection recorded.

    Args:
        source: exactly one of S3 and Hub.
        folder: is created; if it already contains the model with the right digest, nothing is fetched.
        store: where to read S3 sources.
        patterns: `PATTERNS`, or `TOKENIZER_PATTERNS` for the tokenizer alone, which cannot be verified.

    Returns:
        a summary of the model, or None for the tokenizer alone.

    Raises:
        StorageError: a file cannot be read, or the digest differs (the model changed since it was inspected).
        OSError: the folder's disk is full.
    """
    whole = patterns == PATTERNS
    if whole and (folder / "config.json").is_file():
        try:
            summary = digest_base_model(folder, source.revision)
        except StorageError:
            summary = None
        if summary is not None and summary.digest == source.digest:
            return summary
    download_base_model(source.s3, source.hugging_face, folder, store, patterns)
    if not whole:
        return None
    summary = digest_base_model(folder, source.revision)
    if summary.digest != source.digest:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH,
            f"base model {source.name}: its files have the digest {summary.digest}, but the inspection of BaseModel "
            f"{source.name} recorded {source.digest}; the files were changed: restore them, or create a new BaseModel "
            "for the new weights",
        )
    return summary


def download_base_model(
    s3: S3Source | None,
    hugging_face: HuggingFaceSource | None,
    folder: Path,
    store: Store,
    patterns: tuple[str, ...] = PATTERNS,
) -> str:
    """Download a model's files and return the resolved revision (a Hub commit; empty for S3).

    Raises:
        StorageError: a file cannot be read, or there is no file of a model.
        OSError: the folder's disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if s3 is not None:
        prefix = StorageURI.parse(s3.uri)
        for item in model_objects(prefix, store, patterns):
            store.download(item, folder / item.key.rpartition("/")[2])
        return ""
    if hugging_face is None:
        raise StorageError(StorageReason.INVALID_URI, "a base model needs a source: s3 or huggingFace")
    return hub.download(hugging_face, folder, patterns)


def model_objects(prefix: StorageURI, store: Store, patterns: tuple[str, ...] = PATTERNS) -> list[StorageURI]:
    """List a model's objects below a prefix.

    Raises:
        StorageError: there are none.
    """
    found = [
        item.uri for item in store.list(prefix) if belongs(item.uri.key.removeprefix(prefix.key).lstrip("/"), patterns)
    ]
    if not found:
        raise StorageError(
            StorageReason.NOT_FOUND,
            (
                f"{prefix} contains no model files (config.json, tokenizer.json, *.safetensors); "
                "set the URI to the folder that contains config.json"
            ),
        )
    return found


def inspect_base_model(
    s3: S3Source | None, hugging_face: HuggingFaceSource | None, scratch: Path, store: Store
) -> BaseModelSummary:
    """Resolve revision and digest.

    S3 objects are fetched one at a time: ``scratch`` needs room for the largest of them, or for a whole Hub model.

    Raises:
        StorageError: a file cannot be read, or the files are not a model.
    """
    if s3 is None:
        revision = download_base_model(None, hugging_face, scratch, store)
        summary = digest_base_model(scratch, revision)
        names = {name for path in scratch.glob(_WEIGHTS) for name in _read_linear_modules(path, path.name)}
        return summary.updated(linear_modules=_list_modules(names))
    prefix = StorageURI.parse(s3.uri)
    digests: dict[str, str] = {}
    modules: set[str] = set()
    size = 0
    for uri in model_objects(prefix, store):
        path = scratch / uri.key.rpartition("/")[2]
        digests[path.name] = store.download(uri, path)
        size += path.stat().st_size
        if path.suffix == ".safetensors":
            modules |= _read_linear_modules(path, str(uri))
        if path.name == _INDEX_NAME:
            _check_index(path, str(uri))
        path.unlink()
    return _summarise(digests, size, str(prefix), "").updated(linear_modules=_list_modules(modules))


def _check_index(path: Path, where: str) -> None:
    """Check that an index names weights in its own folder only: vLLM and transformers join its names to the folder.

    Raises:
        StorageError: it is invalid, or names another file.
    """
    try:
        if path.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError(f"it has more than {_MAX_INDEX_BYTES} bytes")
        names = set(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StorageError(
            StorageReason.FORBIDDEN_FILE,
            f"{where} is not an index of safetensors files (it needs an object weight_map); upload it again",
        ) from error
    forbidden = sorted(
        repr(name)[:_SHOWN_CHARACTERS] for name in names if not isinstance(name, str) or not belongs(name, (_WEIGHTS,))
    )
    if forbidden:
        shown = ", ".join(forbidden[:3])
        raise StorageError(
            StorageReason.FORBIDDEN_FILE,
            f"{where} names {shown}, but an index can name only *.safetensors files in its folder; upload it again",
        )


def _read_linear_modules(path: Path, where: str) -> set[str]:
    """Return the last part of the names of the linear layers whose weights are in a file.

    Raises:
        StorageError: it is not a complete safetensors file.
    """
    try:
        tensors = read_tensors(path)
    except SafetensorsError as error:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH, f"{where} is not a complete safetensors file ({error}); upload it again"
        ) from error
    return {module.rpartition(".")[2] for module in find_matrices(tensors.values())}


def _list_modules(names: set[str]) -> tuple[str, ...]:
    """Return the names in order, or none of them if they do not fit into a termination message and a status."""
    fit = len(names) <= _MAX_MODULES and sum(map(len, names)) <= _MAX_MODULE_CHARACTERS
    return tuple(sorted(names)) if fit else ()


def _summarise(digests: dict[str, str], size: int, where: str, revision: str) -> BaseModelSummary:
    if "config.json" not in digests or not any(name.endswith(".safetensors") for name in digests):
        raise StorageError(
            StorageReason.NOT_FOUND,
            (
                f"{where} contains {', '.join(sorted(digests)) or 'no model files'}, but a base model needs "
                "config.json and *.safetensors"
            ),
        )
    return BaseModelSummary(digest=compute_adapter_digest(digests), revision=revision, bytes=size, files=len(digests))
