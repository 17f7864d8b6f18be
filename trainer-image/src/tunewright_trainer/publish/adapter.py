"""Publish an adapter under its content's digest: the files, the model card, and the manifest last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import structlog

from tunewright_contracts.adapter_manifest import (
    CONFIG_NAME,
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MODEL_CARD_NAME,
    WEIGHTS_NAME,
    adapter_folder,
    compute_adapter_digest,
)
from tunewright_contracts.content_file import ContentFile
from tunewright_contracts.phase_result import AdapterSummary
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.adapter import read_manifest, summarise
from tunewright_storage.documents import write_document
from tunewright_storage.errors import CONTENT_PROBLEMS, StorageError, StorageReason
from tunewright_storage.safetensors_file import find_non_finite, read_tensors
from tunewright_storage.store import Store, digest_file
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.publish.manifest import Provenance, build_manifest
from tunewright_trainer.publish.model_card import render_model_card

TEMPLATE_NAME = "chat_template.jinja"
log = structlog.get_logger(__name__)


def publish(store: Store, trained: Path, scratch: Path, provenance: Provenance) -> AdapterSummary:
    """Store an adapter; the manifest is written last, so that an incomplete adapter has none.

    Args:
        store: where to store the files.
        trained: PEFT's folder with weights and configuration.
        scratch: a local folder for the files that are published.
        provenance: for manifest and card.

    Returns:
        the summary; the same one if the same content was published before.

    Raises:
        TrainerError: the weights contain NaN or infinities.
        StorageError: a write failed, or the folder contains another adapter.
    """
    files = assemble_content(trained, scratch, provenance.spec)
    digest = compute_adapter_digest({file.path: file.sha256 for file in files})
    uri = StorageURI.parse(provenance.spec.output_uri).join(adapter_folder(digest))
    manifest = build_manifest(digest, files, provenance)
    for file in files:
        store.upload(scratch / file.path, uri.join(file.path))
    store.write(uri.join(MODEL_CARD_NAME), render_model_card(manifest, provenance.dataset).encode(), if_absent=True)
    if not write_document(store, uri.join(MANIFEST_NAME), manifest, MAX_MANIFEST_BYTES, if_absent=True):
        # Published before: by an earlier attempt, or by this write, whose first answer was lost.
        published = read_manifest(store, uri)
        if published.digest != digest:
            raise StorageError(
                StorageReason.DIGEST_MISMATCH,
                f"{uri} already contains an adapter with the digest {published.digest}; delete this folder",
            )
        log.info("published_adapter_found", uri=str(uri))
    return summarise(manifest, uri)


def verify_published(store: Store, summary: AdapterSummary) -> bool:
    """Return whether a published adapter is still complete: a valid manifest, and each file of the listed size.

    Raises:
        StorageError: the store did not answer, or refused: training again would not help.
    """
    uri = StorageURI.parse(summary.uri)
    try:
        manifest = read_manifest(store, uri)
    except StorageError as error:
        if error.reason in CONTENT_PROBLEMS:
            return False
        raise
    sizes = {item.uri: item.size for item in store.list(uri)}
    whole = all(sizes.get(uri.join(file.path)) == file.size for file in manifest.files)
    return whole and manifest.digest == summary.digest


def assemble_content(trained: Path, scratch: Path, spec: RunSpec) -> tuple[ContentFile, ...]:
    """Write the adapter's content files into ``scratch`` and return them, sorted by path.

    Raises:
        TrainerError: the weights contain NaN or infinities.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    check_finite(trained / WEIGHTS_NAME)
    (scratch / WEIGHTS_NAME).write_bytes((trained / WEIGHTS_NAME).read_bytes())
    config = json.loads((trained / CONFIG_NAME).read_text(encoding="utf-8"))
    (scratch / CONFIG_NAME).write_text(canonical_adapter_config(config, spec.base_model.name), encoding="utf-8")
    if spec.base_model.chat_template:
        # It differs from the template in the base model's files, so servers need it with the adapter.
        (scratch / TEMPLATE_NAME).write_text(spec.base_model.chat_template, encoding="utf-8")
    return tuple(
        ContentFile(path=path.name, sha256=digest_file(path), size=path.stat().st_size)
        for path in sorted(scratch.iterdir())
    )


def canonical_adapter_config(config: dict[str, Any], base_model: str) -> str:
    """Return PEFT's configuration in a form that depends only on the adapter.

    It contains the base model's name instead of its local path. Sets are sorted, because Python orders them differently
    in each process.
    """
    content = {key: sorted(value) if _is_set_like(key, value) else value for key, value in config.items()}
    content |= {"base_model_name_or_path": base_model, "revision": None, "inference_mode": True}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def check_finite(weights: Path) -> None:
    """Check that no weight is NaN or infinite: vLLM would load such weights without an error and answer with no text.

    Raises:
        TrainerError: a weight is NaN or infinite.
        SafetensorsError: the file is not a complete safetensors file.
    """
    name = find_non_finite(weights, read_tensors(weights))
    if name is not None:
        raise TrainerError(
            Reason.DIVERGED, f"training ended with NaN or infinite weights in {name}; lower training.learningRate"
        )


def _is_set_like(key: str, value: Any) -> bool:
    return key in {"target_modules", "modules_to_save", "exclude_modules"} and isinstance(value, list)
