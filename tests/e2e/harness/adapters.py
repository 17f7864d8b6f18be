"""Adapters for the tiny model, valid and broken, without training; published as the trainer publishes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import save

from e2e.harness.bucket import Bucket
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

HIDDEN, LAYERS, RANK = 64, 2, 8
Tensors = dict[str, np.ndarray[Any, Any]]


def build_tensors(seed: int, rank: int = RANK, hidden: int = HIDDEN) -> Tensors:
    """Return small random LoRA weights for the attention's query and output projections."""
    random = np.random.default_rng(seed)
    tensors: Tensors = {}
    for layer in range(LAYERS):
        for module in ("q_proj", "o_proj"):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{name}.lora_A.weight"] = random.normal(0, 0.02, (rank, hidden)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = random.normal(0, 0.02, (hidden, rank)).astype(np.float32)
    return tensors


def publish(
    bucket: Bucket,
    namespace: str,
    base_digest: str,
    seed: int,
    *,
    rank: int = RANK,
    tensors: Tensors | None = None,
    held_out: str = "",
    edit_weights: Callable[[bytes], bytes] = bytes,
    edit_manifest: Callable[[dict[str, Any]], object] = lambda manifest: None,
    with_manifest: bool = True,
) -> str:
    """Publish an adapter below the team's prefix and return its URI.

    ``edit_weights`` and ``edit_manifest`` damage the stored files after their digests were computed.
    """
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["q_proj", "o_proj"],
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "bias": "none",
    }
    files = {CONFIG_NAME: json.dumps(config).encode(), WEIGHTS_NAME: save(tensors or build_tensors(seed, rank))}
    digests = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in files.items()}
    digest = compute_adapter_digest(digests)
    prefix = f"adapters/{namespace}/{adapter_folder(digest)}"
    for name, data in files.items():
        bucket.put(f"{prefix}/{name}", edit_weights(data) if name == WEIGHTS_NAME else data)
    manifest = AdapterManifest(
        digest=digest,
        files=tuple(ContentFile(path=name, sha256=digests[name], size=len(data)) for name, data in files.items()),
        base_model=BaseModelIdentity(name="tiny", digest=base_digest),
        rank=rank,
        dataset_digest="sha256:" + "0" * 64,
        evaluation_dataset_uri=held_out,
        training={},
        packages={},
        created_at="2026-01-01T00:00:00Z",
    ).to_wire()
    edit_manifest(manifest)
    if with_manifest:
        bucket.put(f"{prefix}/{MANIFEST_NAME}", json.dumps(manifest))
    return f"s3://{bucket.name}/{prefix}"
