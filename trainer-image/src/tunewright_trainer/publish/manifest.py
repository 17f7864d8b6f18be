"""The manifest of an adapter: its files, its base model and data, its training, and its scores."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterable

from tunewright_contracts.adapter_manifest import AdapterManifest, BaseModelIdentity, Score
from tunewright_contracts.content_file import ContentFile
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_trainer.config import TrainingConfig
from tunewright_trainer.dataset.record import Split
from tunewright_trainer.dataset.storage import split_name
from tunewright_trainer.times import format_now

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "unsloth",
    "unsloth_zoo",
    "safetensors",
    "tokenizers",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """Where an adapter comes from: everything in its manifest and card besides its content."""

    spec: RunSpec
    config: TrainingConfig
    dataset: DatasetSummary
    scores: tuple[Score, ...]


def build_manifest(digest: str, files: tuple[ContentFile, ...], provenance: Provenance) -> AdapterManifest:
    """Return the manifest."""
    spec, source = provenance.spec, provenance.spec.base_model
    return AdapterManifest(
        digest=digest,
        files=files,
        base_model=BaseModelIdentity(
            name=source.name,
            repository=source.hugging_face.repository if source.hugging_face else "",
            revision=source.revision,
            digest=source.digest,
        ),
        rank=provenance.config.rank,
        dataset_digest=provenance.dataset.digest,
        evaluation_dataset_uri=evaluation_uri(provenance.dataset),
        evaluation_dataset_digest=provenance.dataset.evaluation_digest if provenance.dataset.evaluation else None,
        stop_token_ids=provenance.dataset.stop_token_ids,
        training=provenance.config.to_wire(),
        packages=dict(_installed(PACKAGES)),
        scores=provenance.scores,
        job=spec.job,
        created_at=format_now(),
    )


def evaluation_uri(dataset: DatasetSummary) -> str:
    """Return the address of the held-out records; empty if there are none."""
    return str(StorageURI.parse(dataset.uri).join(split_name(Split.EVALUATION))) if dataset.evaluation else ""


def _installed(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
